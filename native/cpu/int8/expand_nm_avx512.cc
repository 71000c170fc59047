#include <immintrin.h>

#include "cpu/int8/expand_nm.h"

namespace tersor::cpu {
namespace {

// Values of four rows, which follow each other, are brought into one quarter of a register, where a byte shuffle puts
// them into their columns.
template <int kHeld>
void expand(const uint8_t* eights, int64_t count, int8_t* to) {
  const __m512i sources = _mm512_loadu_si512(kNmSources);
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i quarter = _mm512_srli_epi32(lane, 2), within = _mm512_and_si512(lane, _mm512_set1_epi32(3));
  // Word 4 * q + w of a register takes word kHeld * q + w of the values.
  const __m512i spread = _mm512_add_epi32(_mm512_mullo_epi32(quarter, _mm512_set1_epi32(kHeld)), within);
  const __m512i first = _mm512_mullo_epi32(within, _mm512_set1_epi32(kHeld * 0x01010101));
  constexpr auto kWords = static_cast<__mmask16>((1u << (4 * kHeld)) - 1);
  for (int64_t eight = 0; eight < count; ++eight, to += kNmInt8Steps * kInt8StepBytes) {
    for (int64_t half = 0; half < 2; ++half) {
      __m512i masks = _mm512_loadu_si512(eights);
      eights += kNmInt8HalfRows * 4;
#pragma GCC unroll 8
      for (int64_t step = 0; step < kNmInt8Steps; ++step, eights += kNmInt8HalfRows * kHeld) {
        const __m512i values = _mm512_permutexvar_epi32(spread, _mm512_maskz_loadu_epi32(kWords, eights));
        const __m512i from = _mm512_add_epi8(_mm512_permutexvar_epi32(masks, sources), first);
        _mm512_storeu_si512(to + step * kInt8StepBytes + half * 64, _mm512_shuffle_epi8(values, from));
        masks = _mm512_srli_epi32(masks, 4);
      }
    }
  }
}

}  // namespace

void expand_nm_avx512(const uint8_t* eights, int64_t count, int64_t held, int8_t* to) {
  if (held == 1) return expand<1>(eights, count, to);
  if (held == 2) return expand<2>(eights, count, to);
  expand<3>(eights, count, to);
}

}  // namespace tersor::cpu
