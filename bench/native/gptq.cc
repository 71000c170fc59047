// GPTQ of a weight [n,k] to 4 bits in groups of 128, given the second moments of its inputs. The peer's figures are in
// bench/rows.mjs: PyTorch is not linked in.
#include <memory>

#include "benchmark.h"
#include "operand.h"

namespace tersor::bench {
namespace {

struct Quantization {
  static constexpr int64_t kGroup = 128;
  int64_t n, k;
  Operand w, hessian, scales, zero_points, codes;
  tersor_affine affine;
  tersor_gptq_options options{.damping = 0.01f, .activation_order = 0, .scales = TERSOR_SCALES_ASYMMETRIC};

  explicit Quantization(const Parameters& shape)
      : n(shape["n"]),
        k(shape["k"]),
        w(TERSOR_F32, {n, k}),
        hessian(TERSOR_F32, {k, k}),
        scales(TERSOR_F32, {n, (k + kGroup - 1) / kGroup}),
        zero_points(TERSOR_I32, {n, (k + kGroup - 1) / kGroup}),
        codes(TERSOR_U4, {n, k}),
        affine{scales, zero_points, nullptr, 0, 15, kGroup} {
    w.fill<float>(1, -1000, 1000, 1000);
    const Operand x(TERSOR_F32, {2 * k, k});
    x.fill<float>(2, -1000, 1000, 1000);
    const tersor_epilogue none{nullptr, TERSOR_IDENTITY, nullptr};
    call(tersor_cpu_backend()->gemm, x, 1, x, 0, &none, 0, hessian);
  }
};

}  // namespace

Benchmark gptq(const Parameters& shape) {
  const auto p = std::make_shared<Quantization>(shape);
  Benchmark benchmark;
  benchmark.ours = [p] { call(tersor_cpu_backend()->gptq, p->w, p->hessian, &p->options, &p->affine, p->codes); };
  const auto n = static_cast<double>(p->n), k = static_cast<double>(p->k);
  // Half of the products w * H for the errors, and a Cholesky factorization, which counts as if it were in f32.
  benchmark.operations = n * k * k + k * k * k / 3;
  return benchmark;
}

}  // namespace tersor::bench
