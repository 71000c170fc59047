#include <immintrin.h>

#include "cpu/compress/encode_loops.h"

namespace tersor::cpu {
namespace {

struct Constants {
  __m512 bias, inverse, lower, upper, scale;
  __m128i zero_point;
};

// The codes of 16 numbers, and masks of those that are not finite or not sure; see encode_block.
__m128i codes_of(const Constants& c, __m512 x, __mmask16* bad, __mmask16* unsure) {
  const __m512 round = _mm512_set1_ps(12582912.0f);  // its lowest byte is 0: that of a sum is the number's
  const __m512 v = _mm512_mul_ps(_mm512_sub_ps(x, c.bias), c.inverse);
  const __m512 inside = _mm512_min_ps(_mm512_max_ps(v, c.lower), c.upper);
  const __m512 moved = _mm512_add_ps(inside, round);
  const __m512 apart = _mm512_sub_ps(inside, _mm512_sub_ps(moved, round));
  *bad |= _mm512_fpclass_ps_mask(x, 0x99);  // quiet and signalling NaN, both infinities
  *unsure |= _mm512_cmp_ps_mask(_mm512_abs_ps(apart), _mm512_set1_ps(kSure), _CMP_GT_OQ);
  return _mm_add_epi8(_mm512_cvtepi32_epi8(_mm512_castps_si512(moved)), c.zero_point);
}

__m128i divided_codes_of(const Constants& c, __m512 x) {
  const __m512 v = _mm512_div_ps(_mm512_sub_ps(x, c.bias), c.scale);
  const __m512 inside = _mm512_min_ps(_mm512_max_ps(v, c.lower), c.upper);
  return _mm_add_epi8(_mm512_cvtepi32_epi8(_mm512_cvtps_epi32(inside)), c.zero_point);
}

}  // namespace

bool encode_avx512(const Encoding& e, const float* x, int64_t count, uint8_t* codes) {
  const Constants c = {_mm512_set1_ps(e.bias),  _mm512_set1_ps(1.0f / e.scale),
                       _mm512_set1_ps(e.lower), _mm512_set1_ps(e.upper),
                       _mm512_set1_ps(e.scale), _mm_set1_epi8(static_cast<char>(e.zero_point))};
  const bool multiply = may_multiply(e);
  __mmask16 bad = 0;
  int64_t i = 0;
  for (; multiply && i + 64 <= count; i += 64) {
    __mmask16 unsure = 0;
    __m128i four[4];
    for (int64_t j = 0; j < 4; ++j) four[j] = codes_of(c, _mm512_loadu_ps(x + i + j * 16), &bad, &unsure);
    for (int64_t j = 0; j < 4; ++j) {
      if (unsure != 0) four[j] = divided_codes_of(c, _mm512_loadu_ps(x + i + j * 16));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + i + j * 16), four[j]);
    }
  }
  for (; i < count; i += 16) {
    const auto lanes = static_cast<__mmask16>(count - i >= 16 ? 0xffff : (1u << (count - i)) - 1);
    const __m512 values = _mm512_maskz_loadu_ps(lanes, x + i);
    bad |= _mm512_fpclass_ps_mask(values, 0x99);
    _mm_mask_storeu_epi8(codes + i, lanes, divided_codes_of(c, values));
  }
  return bad == 0;
}

Range range_avx512(const float* x, int64_t count) { return range_of_run(x, count); }

}  // namespace tersor::cpu
