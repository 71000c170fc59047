#include <immintrin.h>

#include "cpu/quantized/gemm_quantized_tile.h"

namespace tersor::cpu {
namespace {

struct Avx2 {
  using Register = __m256;
  static constexpr int kWidth = 8, kRows = 6, kCodebookRows = 1, kCodebookSums = 4, kFound = 1;

  static Register load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Register v) { _mm256_storeu_ps(p, v); }
  static Register broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
  static Register zero() { return _mm256_setzero_ps(); }
  static Register add(Register a, Register b) { return _mm256_add_ps(a, b); }
  static Register multiply(Register a, Register b) { return _mm256_mul_ps(a, b); }

  using Lanes = __m256i;
  struct Table {
    __m256 low, high;
  };
  static Lanes load_lanes(const uint32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static Lanes shift_right(Lanes v, int bits) { return _mm256_srli_epi32(v, bits); }
  static Lanes masked(Lanes v, uint32_t mask) { return _mm256_and_si256(v, _mm256_set1_epi32(static_cast<int>(mask))); }
  static Lanes either(Lanes a, Lanes b) { return _mm256_or_si256(a, b); }
  static Table table(const float* values) { return {_mm256_loadu_ps(values), _mm256_loadu_ps(values + 8)}; }
  // A permutation looks at three bits; the fourth says of which half.
  static void look_up(const Table& table, Lanes lanes, Register* found) {
    *found = _mm256_blendv_ps(_mm256_permutevar8x32_ps(table.low, lanes), _mm256_permutevar8x32_ps(table.high, lanes),
                              _mm256_castsi256_ps(_mm256_slli_epi32(lanes, 28)));
  }
};

}  // namespace

tersor_status gemm_quantized_avx2(tersor_context* context, const QuantizedProduct& product) {
  return gemm_quantized_float(context, product,
                              {expand_block, expand_codebook<Avx2>, FloatProducts<Avx2>::multiply, Avx2::kCodebookRows,
                               multiply_codebook<Avx2>});
}

}  // namespace tersor::cpu
