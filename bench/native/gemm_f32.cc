// Dense f32 products as a linear layer needs them: x[m,k] * w[n,k]^T forward (ta=0, tb=1; packed=1 with the weight laid
// out beforehand), dy * w for the gradient of the input (0, 0) and dy^T * x for that of the weight (1, 0).
#include <memory>

#include "benchmark.h"
#include "operand.h"
#include "peer.h"

namespace tersor::bench {
namespace {

struct Product {
  int64_t m, n, k;
  bool ta, tb, packed;
  Operand a, b, c, panels;

  explicit Product(const Parameters& shape)
      : m(shape["m"]),
        n(shape["n"]),
        k(shape["k"]),
        ta(shape["ta"] != 0),
        tb(shape["tb"] != 0),
        packed(shape["packed"] != 0),
        a(TERSOR_F32, {ta ? k : m, ta ? m : k}),
        b(TERSOR_F32, {tb ? n : k, tb ? k : n}),
        c(TERSOR_F32, {m, n}),
        panels(TERSOR_F32, {packed ? tersor_cpu_backend()->packed_elements(n, k, TERSOR_F32) : 0}) {
    a.fill<float>(1, -1000, 1000, 1000);
    b.fill<float>(2, -1000, 1000, 1000);
    if (packed) call(tersor_cpu_backend()->pack_gemm, b, panels);
  }
};

}  // namespace

Benchmark gemm_f32(const Parameters& shape) {
  const auto p = std::make_shared<Product>(shape);
  Benchmark benchmark;
  benchmark.arithmetic = Arithmetic::f32;
  benchmark.operations = 2.0 * static_cast<double>(p->m * p->n * p->k);
  benchmark.bytes = static_cast<double>(p->a.bytes() + p->b.bytes() + p->c.bytes());
  const tersor_packed weight = {*p->panels, p->n, p->k};
  benchmark.ours = [p, weight] {
    if (p->packed) return call(tersor_cpu_backend()->gemm_packed, p->a, &weight, nullptr, p->c);
    call(tersor_cpu_backend()->gemm, p->a, p->ta, p->b, p->tb, nullptr, 0, p->c);
  };
  // With the left operand transposed both are activations or gradients, which nobody can lay out beforehand.
  set_peer(benchmark, p, p->c,
           {.m = p->m,
            .n = p->n,
            .k = p->k,
            .x = p->a.data<float>(),
            .transpose_x = p->ta,
            .w = p->b.data<float>(),
            .transpose_w = p->tb,
            .fixed_w = !p->ta});
  return benchmark;
}

}  // namespace tersor::bench
