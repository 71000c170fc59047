#include <immintrin.h>

#include <algorithm>

#include "cpu/sparse/transpose.h"

namespace tersor::cpu {
namespace {

__mmask16 first(int64_t count) { return static_cast<__mmask16>((1u << count) - 1); }

// A block of 16 by 16 words, of which `rows` by `columns` exist.
void transpose_block(const uint8_t* from, int64_t from_bytes, int64_t rows, int64_t columns, int32_t* to,
                     int64_t to_words) {
  __m512i row[16], pair[16], quad[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    row[i] = i < rows ? _mm512_maskz_loadu_epi32(first(columns), from + i * from_bytes) : _mm512_setzero_si512();
  }
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    pair[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
    pair[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    quad[i] = _mm512_unpacklo_epi64(pair[i], pair[i + 2]);
    quad[i + 1] = _mm512_unpackhi_epi64(pair[i], pair[i + 2]);
    quad[i + 2] = _mm512_unpacklo_epi64(pair[i + 1], pair[i + 3]);
    quad[i + 3] = _mm512_unpackhi_epi64(pair[i + 1], pair[i + 3]);
  }
  // quad[4 * g + c] holds rows 4 * g ... of columns c, c + 4, c + 8 and c + 12, one in every 128 bits.
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512i even_low = _mm512_shuffle_i32x4(quad[c], quad[4 + c], 0x88);
    const __m512i odd_low = _mm512_shuffle_i32x4(quad[c], quad[4 + c], 0xdd);
    const __m512i even_high = _mm512_shuffle_i32x4(quad[8 + c], quad[12 + c], 0x88);
    const __m512i odd_high = _mm512_shuffle_i32x4(quad[8 + c], quad[12 + c], 0xdd);
    const auto store = [&](int column, __m512i low, __m512i high, bool odd) {
      if (column >= columns) return;
      const __m512i turned = odd ? _mm512_shuffle_i32x4(low, high, 0xdd) : _mm512_shuffle_i32x4(low, high, 0x88);
      _mm512_mask_storeu_epi32(to + column * to_words, first(rows), turned);
    };
    store(c, even_low, even_high, false);
    store(c + 4, odd_low, odd_high, false);
    store(c + 8, even_low, even_high, true);
    store(c + 12, odd_low, odd_high, true);
  }
}

}  // namespace

void transpose_avx512(const void* from, int64_t from_bytes, int64_t rows, int64_t columns, void* to, int64_t to_words) {
  // Rows inside: what is written goes on where it stopped.
  for (int64_t j = 0; j < columns; j += 16) {
    for (int64_t i = 0; i < rows; i += 16) {
      transpose_block(static_cast<const uint8_t*>(from) + i * from_bytes + j * 4, from_bytes,
                      std::min<int64_t>(16, rows - i), std::min<int64_t>(16, columns - j),
                      static_cast<int32_t*>(to) + j * to_words + i, to_words);
    }
  }
}

}  // namespace tersor::cpu
