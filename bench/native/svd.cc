// Thin singular value decomposition of a[m,n]. How many operations that takes depends on the values, so that no limit
// applies; there is no peer.
#include <memory>

#include "benchmark.h"
#include "operand.h"

namespace tersor::bench {
namespace {

struct Decomposition {
  int64_t m, n;
  Operand a, u, s, vt;

  explicit Decomposition(const Parameters& shape)
      : m(shape["m"]),
        n(shape["n"]),
        a(TERSOR_F32, {m, n}),
        u(TERSOR_F32, {m, std::min(m, n)}),
        s(TERSOR_F32, {std::min(m, n)}),
        vt(TERSOR_F32, {std::min(m, n), n}) {
    a.fill<float>(1, -1000, 1000, 1000);
  }
};

}  // namespace

Benchmark svd_f32(const Parameters& shape) {
  const auto p = std::make_shared<Decomposition>(shape);
  Benchmark benchmark;
  benchmark.ours = [p] { call(tersor_cpu_backend()->svd, p->a, p->u, p->s, p->vt); };
  return benchmark;
}

}  // namespace tersor::bench
