// x^T x of x[m,n], of which half is computed: m * n * (n + 1) operations. No peer computes only that half in one call.
#include <memory>

#include "benchmark.h"
#include "operand.h"

namespace tersor::bench {
namespace {

struct Gram {
  Operand x, h;

  explicit Gram(const Parameters& shape)
      : x(TERSOR_F32, {shape["m"], shape["n"]}), h(TERSOR_F32, {shape["n"], shape["n"]}) {
    x.fill<float>(1, -1000, 1000, 1000);
  }
};

}  // namespace

Benchmark gram(const Parameters& shape) {
  const auto p = std::make_shared<Gram>(shape);
  const auto m = static_cast<double>(shape["m"]), n = static_cast<double>(shape["n"]);
  Benchmark benchmark;
  benchmark.operations = m * n * (n + 1);
  benchmark.bytes = static_cast<double>(p->x.bytes() + p->h.bytes());
  benchmark.ours = [p] { call(tersor_cpu_backend()->gram, p->x, 0, 1, p->h); };
  return benchmark;
}

}  // namespace tersor::bench
