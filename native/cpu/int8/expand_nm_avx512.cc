#include <immintrin.h>

#include "cpu/int8/expand_nm.h"

namespace tersor::cpu {
namespace {

template <int kHeld>
void expand(const uint8_t* eights, int64_t count, int8_t* to) {
  constexpr int kSteps = kInt8Depth / kHeld;
  const __m512i sources = _mm512_loadu_si512(kNmSources);
  const __m512i row = _mm512_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
  const __m512i first = _mm512_mullo_epi32(row, _mm512_set1_epi32(kHeld * 0x01010101));
  for (int64_t half = 0; half < 2 * count; ++half) {
    __m512i masks = _mm512_loadu_si512(eights);
    eights += kNmInt8HalfRows * 4;
    int8_t* at = to + half / 2 * kNmInt8Steps * kInt8StepBytes + half % 2 * 64;
#pragma GCC unroll 4
    for (int64_t step = 0; step < kNmInt8Steps; step += kSteps, eights += 64) {
      const __m512i values = _mm512_loadu_si512(eights);
#pragma GCC unroll 4
      for (int s = 0; s < kSteps; ++s, at += kInt8StepBytes) {
        const __m512i start = _mm512_add_epi8(first, _mm512_set1_epi8(static_cast<char>(s * 4 * kHeld)));
        const __m512i from = _mm512_add_epi8(_mm512_permutexvar_epi32(masks, sources), start);
        _mm512_storeu_si512(at, _mm512_shuffle_epi8(values, from));
        masks = _mm512_srli_epi32(masks, 4);
      }
    }
  }
}

}  // namespace

void expand_nm_avx512(const uint8_t* eights, int64_t count, int64_t held, int8_t* to) {
  if (held == 1) return expand<1>(eights, count, to);
  expand<2>(eights, count, to);
}

}  // namespace tersor::cpu
