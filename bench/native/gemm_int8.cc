// Dense u8 x i8 products with a scale per column, x[m,k] * w[n,k]^T, results in f32. Zero point 0 on both sides.
#include <memory>

#include "benchmark.h"
#include "int8_layer.h"
#include "peer.h"

namespace tersor::bench {
namespace {

struct Product : Int8Layer {
  Operand w;

  explicit Product(const Parameters& shape) : Int8Layer(shape), w(TERSOR_I8, {n, k}) {
    w.fill<int8_t>(2, -127, 127);
    for (int64_t i = 0; i < w.size(); ++i) row_sums.data<int32_t>()[i / k] += w.data<int8_t>()[i];
  }
};

}  // namespace

Benchmark gemm_int8(const Parameters& shape) {
  const auto p = std::make_shared<Product>(shape);
  Benchmark benchmark;
  benchmark.arithmetic = Arithmetic::int8;
  benchmark.operations = 2.0 * static_cast<double>(p->m * p->n * p->k);
  benchmark.bytes = static_cast<double>(p->x.bytes() + p->w.bytes() + p->y.bytes());
  benchmark.ours = [p] { call(tersor_cpu_backend()->gemm_int8, p->x, p->w, &p->epilogue, p->y); };
  set_peer(benchmark, p, p->y, p->dense(p->w.data<int8_t>()));
  return benchmark;
}

}  // namespace tersor::bench
