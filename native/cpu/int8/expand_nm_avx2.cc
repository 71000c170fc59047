#include <immintrin.h>

#include "cpu/int8/expand_nm.h"
#include "cpu/int8/int4_avx2.h"

namespace tersor::cpu {
namespace {

// Eight rows at a time; the table of sources takes two registers.
template <int kHeld, int kBits>
void expand(const uint8_t* eights, int64_t count, int8_t* to) {
  constexpr int kVectors = 8 / kBits, kSteps = kInt8Depth / kHeld;
  const auto load = [](const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); };
  const __m256i low_sources = load(kNmSources), high_sources = load(kNmSources + 8);
  const __m256i first = _mm256_broadcastsi128_si256(_mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c));
  constexpr int64_t kMaskBytes = kNmInt8HalfRows * 4;
  constexpr int64_t kHalfBytes = kMaskBytes + kNmInt8HalfRows * kNmInt8Steps * kHeld * kBits / 8;
  for (int64_t half = 0; half < 2 * count; ++half, eights += kHalfBytes) {
    for (int64_t line = 0; line < kHalfBytes; line += 64) __builtin_prefetch(eights + kNmInt8AheadBytes + line);
    for (int64_t row = 0; row < kNmInt8HalfRows; row += 8) {
      const __m256i masks = load(eights + row * 4);
      const uint8_t* from = eights + kMaskBytes + row * 4;
      int8_t* at = to + half / 2 * kNmInt8Steps * kInt8StepBytes + half % 2 * 64 + row * kInt8Depth;
      for (int64_t step = 0; step < kNmInt8Steps; step += kVectors * kSteps, from += 64) {
        __m256i values[kVectors];
        load_integers<kBits>(from, values);
#pragma GCC unroll 8
        for (int s = 0; s < kVectors * kSteps; ++s, at += kInt8StepBytes) {
          const __m256i mask = _mm256_srl_epi32(masks, _mm_cvtsi32_si128(nm_mask_shift(step + s)));
          // The fourth bit of a mask, as a sign, chooses the half of the table.
          const __m256 source = _mm256_blendv_ps(_mm256_castsi256_ps(_mm256_permutevar8x32_epi32(low_sources, mask)),
                                                 _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(high_sources, mask)),
                                                 _mm256_castsi256_ps(_mm256_slli_epi32(mask, 28)));
          const __m256i start = _mm256_add_epi8(first, _mm256_set1_epi8(static_cast<char>(s % kSteps * kHeld)));
          const __m256i places = _mm256_add_epi8(_mm256_castps_si256(source), start);
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), _mm256_shuffle_epi8(values[s / kSteps], places));
        }
      }
    }
  }
}

// Steps of four bits.
void expand_steps(const uint8_t* from, int64_t count, int8_t* to) {
  for (int64_t step = 0; step < count; ++step, to += kInt8StepBytes) {
    __builtin_prefetch(from + kNmInt8AheadBytes);
    for (int64_t at = 0; at < 64; at += 32, from += 32) {
      __m256i values[2];
      load_integers<4>(from, values);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + at), values[0]);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 64 + at), values[1]);
    }
  }
}

}  // namespace

void expand_nm_avx2(const uint8_t* eights, int64_t count, int64_t held, int64_t bits, int8_t* to) {
  if (held == kInt8Depth) return expand_steps(eights, count * kNmInt8Steps, to);
  if (held == 1) return bits == 4 ? expand<1, 4>(eights, count, to) : expand<1, 8>(eights, count, to);
  if (bits == 4) return expand<2, 4>(eights, count, to);
  expand<2, 8>(eights, count, to);
}

}  // namespace tersor::cpu
