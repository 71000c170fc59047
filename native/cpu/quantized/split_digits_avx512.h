// Whole register tiles of x into digits, in the order that products read them: four planes of digits at a time become
// bytes by two packings, which leave them step by step. Anonymous, so that each file that includes it has its own code
// for its own ISA.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "cpu/quantized/gemm_quantized_dots.h"

namespace tersor::cpu {
namespace {

// Largest magnitudes, as bits, of kRows rows: in the lowest lanes.
template <int kRows>
TERSOR_INLINE __m256i largest_magnitudes(const SplitInput& x, int64_t depth) {
  __m512i largest[8];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    const float* row = x.values + i * x.stride;
    __m512i even = _mm512_setzero_si512(), odd = even;
    int64_t k = 0;
    for (; k + 32 <= depth; k += 32) {
      even = _mm512_max_epi32(even, _mm512_castps_si512(_mm512_abs_ps(_mm512_loadu_ps(row + k))));
      odd = _mm512_max_epi32(odd, _mm512_castps_si512(_mm512_abs_ps(_mm512_loadu_ps(row + k + 16))));
    }
    if (k < depth) even = _mm512_max_epi32(even, _mm512_castps_si512(_mm512_abs_ps(_mm512_loadu_ps(row + k))));
    largest[i] = _mm512_max_epi32(even, odd);
  }
  // Rows come side by side as lanes are folded.
  __m512i four[2];
#pragma GCC unroll 2
  for (int i = 0; i < kRows / 4; ++i) {
    const __m512i* row = largest + 4 * i;
    const __m512i low = _mm512_max_epi32(_mm512_unpacklo_epi32(row[0], row[1]), _mm512_unpackhi_epi32(row[0], row[1]));
    const __m512i high = _mm512_max_epi32(_mm512_unpacklo_epi32(row[2], row[3]), _mm512_unpackhi_epi32(row[2], row[3]));
    four[i] = _mm512_max_epi32(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
  }
  if (kRows == 4) four[1] = four[0];
  const __m512i both =
      _mm512_max_epi32(_mm512_shuffle_i64x2(four[0], four[1], 0x44), _mm512_shuffle_i64x2(four[0], four[1], 0xee));
  const __m512i all = _mm512_max_epi32(both, _mm512_shuffle_i64x2(both, both, 0xb1));
  return _mm512_castsi512_si256(_mm512_shuffle_i64x2(all, all, 0x08));
}

// Scales of rows with their inverses; false when a row is not to be split.
template <int kDigits, int kRows>
TERSOR_INLINE bool scale_rows(const SplitInput& x, int64_t depth, float* scales, float* inverses) {
  const __m256i largest = largest_magnitudes<kRows>(x, depth);
  const __mmask8 rows = static_cast<__mmask8>((1u << kRows) - 1);
  const __mmask8 fit = _mm256_cmpge_epi32_mask(largest, _mm256_set1_epi32(kSmallestBits)) &
                       _mm256_cmple_epi32_mask(largest, _mm256_set1_epi32(kLargestBits));
  const __mmask8 zero = _mm256_cmpeq_epi32_mask(largest, _mm256_setzero_si256());
  if (((fit | zero) & rows) != rows) return false;
  const __m256 magnitude = _mm256_castsi256_ps(largest), limit = _mm256_set1_ps(kLargest[kDigits - 1]);
  _mm256_mask_storeu_ps(scales, rows, _mm256_maskz_div_ps(fit, magnitude, limit));
  _mm256_mask_storeu_ps(inverses, rows, _mm256_maskz_div_ps(fit, limit, magnitude));
  return true;
}

// Low bytes of the 16 numbers of four registers: lane s of 128 bits has four consecutive bytes of each.
template <bool kSigned>
TERSOR_INLINE __m512i pack_planes(const __m512i* planes) {
  if constexpr (kSigned) {
    return _mm512_packs_epi16(_mm512_packs_epi32(planes[0], planes[1]), _mm512_packs_epi32(planes[2], planes[3]));
  }
  const __m512i low = _mm512_set1_epi32(0xff);
  const auto byte = [&](int i) { return _mm512_and_si512(planes[i], low); };
  return _mm512_packus_epi16(_mm512_packus_epi32(byte(0), byte(1)), _mm512_packus_epi32(byte(2), byte(3)));
}

// Of 16 k: each step's planes follow each other.
template <int kQuads>
TERSOR_INLINE void store_steps(const __m512i (&quads)[kQuads], int8_t* to) {
  if constexpr (kQuads == 2) {
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                  second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    _mm512_storeu_si512(to, _mm512_permutex2var_epi64(quads[0], first, quads[1]));
    _mm512_storeu_si512(to + 64, _mm512_permutex2var_epi64(quads[0], second, quads[1]));
    return;
  }
#pragma GCC unroll 3
  for (int q = 0; q < kQuads; ++q) {
    auto* out = reinterpret_cast<__m128i*>(to + q * 16);
    _mm_storeu_si128(out, _mm512_castsi512_si128(quads[q]));
    _mm_storeu_si128(out + kQuads, _mm512_extracti32x4_epi32(quads[q], 1));
    _mm_storeu_si128(out + 2 * kQuads, _mm512_extracti32x4_epi32(quads[q], 2));
    _mm_storeu_si128(out + 3 * kQuads, _mm512_extracti32x4_epi32(quads[q], 3));
  }
}

// `split` of kRows rows and a span without padding; false when a row is not to be split, and nothing is written then.
template <typename Vector, int kDigits, int kRows>
bool split_whole(const SplitInput& x, const Span& span, int8_t* to, int32_t* sums, float* scales) {
  constexpr int kQuads = kRows * kDigits / 4;
  float inverses[kRows];
  if (!scale_rows<kDigits, kRows>(x, span.depth, scales, inverses)) return false;
  const float* values = x.values;
  for (int64_t block = 0; block < span.blocks; ++block, sums += 4 * kQuads) {
    __m512i partial[kQuads];
    for (int q = 0; q < kQuads; ++q) partial[q] = _mm512_setzero_si512();
    const int64_t depth = span.depth_of(block);
    for (int64_t k = 0; k < depth; k += 16, values += 16, to += 64 * kQuads) {
      __m512i planes[4 * kQuads];
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        const float* row = values + i * x.stride;
        // The next span's, from beyond L1.
        __builtin_prefetch(row + span.depth);
        __m512i rest = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(row), _mm512_set1_ps(inverses[i])));
#pragma GCC unroll 3
        for (int d = 0; d + 1 < kDigits; ++d) {
          planes[i * kDigits + d] = rest;
          rest = _mm512_srai_epi32(_mm512_add_epi32(rest, _mm512_set1_epi32(128)), 8);
        }
        planes[(i + 1) * kDigits - 1] = rest;
      }
      __m512i quads[kQuads];
#pragma GCC unroll 3
      for (int q = 0; q < kQuads; ++q) {
        quads[q] = pack_planes<kDigits == 1>(planes + 4 * q);
        Vector::multiply_add(partial[q], Vector::ones(), quads[q]);
      }
      store_steps(quads, to);
    }
#pragma GCC unroll 3
    for (int q = 0; q < kQuads; ++q) {
      const __m256i half =
          _mm256_add_epi32(_mm512_castsi512_si256(partial[q]), _mm512_extracti64x4_epi64(partial[q], 1));
      const __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(sums + 4 * q), sum);
    }
  }
  return true;
}

template <typename Vector>
void split_avx512(const SplitInput& x, const Span& span, int digits, int8_t* to, int32_t* sums, float* scales,
                  uint8_t* good) {
  constexpr auto& kRows = Vector::kTileRows;
  static_assert(kRows[0] == 8 && kRows[1] == 4 && kRows[2] == 4);
  if (x.rows == kRows[digits - 1] && span.padded == span.depth &&
      std::all_of(good, good + x.rows, [](uint8_t row) { return row != 0; })) {
    const bool done = digits == 1   ? split_whole<Vector, 1, kRows[0]>(x, span, to, sums, scales)
                      : digits == 2 ? split_whole<Vector, 2, kRows[1]>(x, span, to, sums, scales)
                                    : split_whole<Vector, 3, kRows[2]>(x, span, to, sums, scales);
    if (done) return;
  }
  split<Vector>(x, span, digits, to, sums, scales, good);
}

}  // namespace
}  // namespace tersor::cpu
