#include <immintrin.h>

#include "cpu/quantized/gemm_quantized_tile.h"

namespace tersor::cpu {
namespace {

struct Avx2 {
  using Register = __m256;
  static constexpr int kWidth = 8, kRows = 6;

  static Register load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Register v) { _mm256_storeu_ps(p, v); }
  static Register broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
};

}  // namespace

tersor_status gemm_quantized_avx2(tersor_context* context, const QuantizedProduct& product) {
  return gemm_quantized_float(context, product, {expand_block, FloatProducts<Avx2>::multiply});
}

}  // namespace tersor::cpu
