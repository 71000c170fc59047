#include <immintrin.h>

#include "cpu/int8/expand_nm.h"
#include "cpu/int8/int4_avx512.h"

namespace tersor::cpu {
namespace {

template <int kHeld, int kBits>
void expand(const uint8_t* eights, int64_t count, int8_t* to) {
  constexpr int kVectors = 8 / kBits, kSteps = kInt8Depth / kHeld;
  constexpr int kHalfBytes = kNmInt8HalfRows * (4 + kNmInt8Steps * kHeld * kBits / 8);
  const __m512i sources = _mm512_loadu_si512(kNmSources);
  const __m512i first = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c));
  for (int64_t half = 0; half < 2 * count; ++half) {
#pragma GCC unroll 5
    for (int line = 0; line < kHalfBytes; line += 64) __builtin_prefetch(eights + kNmInt8AheadBytes + line);
    const __m512i masks = _mm512_loadu_si512(eights);
    eights += kNmInt8HalfRows * 4;
    int8_t* at = to + half / 2 * kNmInt8Steps * kInt8StepBytes + half % 2 * 64;
#pragma GCC unroll 4
    for (int64_t step = 0; step < kNmInt8Steps; step += kVectors * kSteps, eights += 64) {
      __m512i values[kVectors];
      load_integers<kBits>(eights, values);
#pragma GCC unroll 8
      for (int s = 0; s < kVectors * kSteps; ++s, at += kInt8StepBytes) {
        const __m512i start = _mm512_add_epi8(first, _mm512_set1_epi8(static_cast<char>(s % kSteps * kHeld)));
        const __m512i mask = _mm512_srli_epi32(masks, static_cast<unsigned>(nm_mask_shift(step + s)));
        const __m512i from = _mm512_add_epi8(_mm512_permutexvar_epi32(mask, sources), start);
        _mm512_storeu_si512(at, _mm512_shuffle_epi8(values[s / kSteps], from));
      }
    }
  }
}

// Steps of four bits.
void expand_steps(const uint8_t* from, int64_t count, int8_t* to) {
  for (int64_t step = 0; step < count; ++step, from += 64, to += kInt8StepBytes) {
    __builtin_prefetch(from + kNmInt8AheadBytes);
    __m512i values[2];
    load_integers<4>(from, values);
    _mm512_storeu_si512(to, values[0]);
    _mm512_storeu_si512(to + 64, values[1]);
  }
}

}  // namespace

void expand_nm_avx512(const uint8_t* eights, int64_t count, int64_t held, int64_t bits, int8_t* to) {
  if (held == kInt8Depth) return expand_steps(eights, count * kNmInt8Steps, to);
  if (held == 1) return bits == 4 ? expand<1, 4>(eights, count, to) : expand<1, 8>(eights, count, to);
  if (bits == 4) return expand<2, 4>(eights, count, to);
  expand<2, 8>(eights, count, to);
}

}  // namespace tersor::cpu
