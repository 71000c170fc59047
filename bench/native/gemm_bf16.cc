// Products of f32 activations with a bf16 weight that was laid out beforehand: x[m,k] * w[n,k]^T, results in f32. The
// peer multiplies bf16 by bf16, and rounds the activations inside its time, as a user who has them in f32 would.
#include <memory>

#include "benchmark.h"
#include "operand.h"
#include "peer.h"

namespace tersor::bench {
namespace {

// x and w are numbers that bf16 holds, so that both sides multiply the same ones.
struct Product {
  int64_t m, n, k;
  Operand x, numbers, w, panels, y;
  tersor_packed weight;

  explicit Product(const Parameters& shape)
      : m(shape["m"]),
        n(shape["n"]),
        k(shape["k"]),
        x(TERSOR_F32, {m, k}),
        numbers(TERSOR_F32, {n, k}),
        w(TERSOR_BF16, {n, k}),
        panels(TERSOR_BF16, {tersor_cpu_backend()->packed_elements(n, k, TERSOR_BF16)}),
        y(TERSOR_F32, {m, n}),
        weight{*panels, n, k} {
    x.fill<float>(1, -128, 128, 128);
    numbers.fill<float>(2, -128, 128, 128);
    call(tersor_cpu_backend()->cast, numbers, w);
    call(tersor_cpu_backend()->pack_gemm, w, panels);
  }
};

}  // namespace

Benchmark gemm_bf16(const Parameters& shape) {
  const auto p = std::make_shared<Product>(shape);
  Benchmark benchmark;
  benchmark.arithmetic = Arithmetic::bf16;
  benchmark.operations = 2.0 * static_cast<double>(p->m * p->n * p->k);
  benchmark.bytes = static_cast<double>(p->x.bytes() + p->w.bytes() + p->y.bytes());
  benchmark.ours = [p] { call(tersor_cpu_backend()->gemm_packed, p->x, &p->weight, nullptr, p->y); };
  set_peer(benchmark, p, p->y,
           {.m = p->m, .n = p->n, .k = p->k, .x = p->x.data<float>(), .w = p->numbers.data<float>(), .bf16 = true});
  return benchmark;
}

}  // namespace tersor::bench
