#include <immintrin.h>

#include "cpu/quantized/gemm_quantized_tile.h"

namespace tersor::cpu {
namespace {

struct Avx512 {
  using Register = __m512;
  static constexpr int kWidth = 16, kRows = 8;

  static Register load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Register v) { _mm512_storeu_ps(p, v); }
  static Register broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm512_fmadd_ps(a, b, c); }
};

}  // namespace

tersor_status gemm_quantized_avx512(tersor_context* context, const QuantizedProduct& product) {
  return gemm_quantized_float(context, product, {expand_block, FloatProducts<Avx512>::multiply});
}

}  // namespace tersor::cpu
