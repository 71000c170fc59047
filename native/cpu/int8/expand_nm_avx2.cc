#include <immintrin.h>

#include "cpu/int8/expand_nm.h"

namespace tersor::cpu {
namespace {

// As with AVX-512, eight rows at a time; the table of sources takes two registers.
template <int kHeld>
void expand(const uint8_t* eights, int64_t count, int8_t* to) {
  const auto load = [](const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); };
  const __m256i low_sources = load(kNmSources), high_sources = load(kNmSources + 8);
  const __m256i spread = _mm256_setr_epi32(0, 1, 2, 3, kHeld, kHeld + 1, kHeld + 2, kHeld + 3);
  constexpr int kOne = kHeld * 0x01010101;
  const __m256i first = _mm256_setr_epi32(0, kOne, 2 * kOne, 3 * kOne, 0, kOne, 2 * kOne, 3 * kOne);
  const __m256i words = _mm256_cmpgt_epi32(_mm256_set1_epi32(2 * kHeld), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  constexpr int64_t kHalfBytes = kNmInt8HalfRows * (4 + kNmInt8Steps * kHeld);
  for (int64_t eight = 0; eight < count; ++eight, to += kNmInt8Steps * kInt8StepBytes) {
    for (int64_t rows = 0; rows < kInt8Columns; rows += 8) {
      const uint8_t* half = eights + (eight * 2 + rows / kNmInt8HalfRows) * kHalfBytes;
      const int64_t row = rows % kNmInt8HalfRows;
      __m256i masks = load(half + row * 4);
      const uint8_t* from = half + kNmInt8HalfRows * 4 + row * kHeld;
      for (int64_t step = 0; step < kNmInt8Steps; ++step, from += kNmInt8HalfRows * kHeld) {
        const __m256i stored = _mm256_maskload_epi32(reinterpret_cast<const int*>(from), words);
        // The fourth bit of a mask, as a sign, chooses the half of the table.
        const __m256 source = _mm256_blendv_ps(_mm256_castsi256_ps(_mm256_permutevar8x32_epi32(low_sources, masks)),
                                               _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(high_sources, masks)),
                                               _mm256_castsi256_ps(_mm256_slli_epi32(masks, 28)));
        const __m256i places = _mm256_add_epi8(_mm256_castps_si256(source), first);
        const __m256i four = _mm256_shuffle_epi8(_mm256_permutevar8x32_epi32(stored, spread), places);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + step * kInt8StepBytes + rows * kInt8Depth), four);
        masks = _mm256_srli_epi32(masks, 4);
      }
    }
  }
}

}  // namespace

void expand_nm_avx2(const uint8_t* eights, int64_t count, int64_t held, int8_t* to) {
  if (held == 1) return expand<1>(eights, count, to);
  if (held == 2) return expand<2>(eights, count, to);
  expand<3>(eights, count, to);
}

}  // namespace tersor::cpu
