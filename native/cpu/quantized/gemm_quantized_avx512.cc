#include <immintrin.h>

#include "cpu/quantized/gemm_quantized_tile.h"

namespace tersor::cpu {
namespace {

struct Avx512 {
  using Register = __m512;
  static constexpr int kWidth = 16, kRows = 8, kCodebookRows = 4, kCodebookSums = 8, kFound = 1;

  static Register load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Register v) { _mm512_storeu_ps(p, v); }
  static Register broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm512_fmadd_ps(a, b, c); }
  static Register zero() { return _mm512_setzero_ps(); }
  static Register add(Register a, Register b) { return _mm512_add_ps(a, b); }
  static Register multiply(Register a, Register b) { return _mm512_mul_ps(a, b); }

  using Lanes = __m512i;
  using Table = __m512;
  static Lanes load_lanes(const uint32_t* p) { return _mm512_loadu_si512(p); }
  static Lanes shift_right(Lanes v, int bits) { return _mm512_srli_epi32(v, static_cast<unsigned>(bits)); }
  static Lanes masked(Lanes v, uint32_t mask) { return _mm512_and_si512(v, _mm512_set1_epi32(static_cast<int>(mask))); }
  static Lanes either(Lanes a, Lanes b) { return _mm512_or_si512(a, b); }
  static Table table(const float* values) { return _mm512_loadu_ps(values); }
  static void look_up(Table table, Lanes lanes, Register* found) { *found = _mm512_permutexvar_ps(lanes, table); }
};

}  // namespace

tersor_status gemm_quantized_avx512(tersor_context* context, const QuantizedProduct& product) {
  return gemm_quantized_float(context, product,
                              {expand_block, expand_codebook<Avx512>, FloatProducts<Avx512>::multiply,
                               Avx512::kCodebookRows, multiply_codebook<Avx512>});
}

}  // namespace tersor::cpu
