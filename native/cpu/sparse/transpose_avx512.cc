#include "cpu/vector/transpose_avx512.h"

#include <immintrin.h>

#include <algorithm>

#include "cpu/sparse/transpose.h"

namespace tersor::cpu {
namespace {

__mmask16 first(int64_t count) { return static_cast<__mmask16>((1u << count) - 1); }

// A block of 16 by 16 words, of which `rows` by `columns` exist.
void transpose_block(const uint8_t* from, int64_t from_bytes, int64_t rows, int64_t columns, int32_t* to,
                     int64_t to_words) {
  __m512i row[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    row[i] = i < rows ? _mm512_maskz_loadu_epi32(first(columns), from + i * from_bytes) : _mm512_setzero_si512();
  }
  transpose_registers(row);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    if (i < columns) _mm512_mask_storeu_epi32(to + i * to_words, first(rows), row[i]);
  }
}

// A whole block. Quarters of rows four apart are loaded side by side, which costs no shuffle, so that what is left to
// turn are squares of four by four. Row after row, as lines of rows a power of two apart push each other out of the
// cache.
void transpose_whole_block(const uint8_t* from, int64_t from_bytes, int32_t* to, int64_t to_words) {
  __m512i quarters[4][4];  // [row % 4][column / 4]
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
      const auto load = [&](int r) {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + (i + r) * from_bytes + 16 * q));
      };
      __m512i four = _mm512_castsi128_si512(load(0));
      four = _mm512_inserti32x4(four, load(4), 1);
      four = _mm512_inserti32x4(four, load(8), 2);
      quarters[i][q] = _mm512_inserti32x4(four, load(12), 3);
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) {
    const __m512i low01 = _mm512_unpacklo_epi32(quarters[0][q], quarters[1][q]);
    const __m512i high01 = _mm512_unpackhi_epi32(quarters[0][q], quarters[1][q]);
    const __m512i low23 = _mm512_unpacklo_epi32(quarters[2][q], quarters[3][q]);
    const __m512i high23 = _mm512_unpackhi_epi32(quarters[2][q], quarters[3][q]);
    int32_t* column = to + 4 * q * to_words;
    _mm512_storeu_si512(column, _mm512_unpacklo_epi64(low01, low23));
    _mm512_storeu_si512(column + to_words, _mm512_unpackhi_epi64(low01, low23));
    _mm512_storeu_si512(column + 2 * to_words, _mm512_unpacklo_epi64(high01, high23));
    _mm512_storeu_si512(column + 3 * to_words, _mm512_unpackhi_epi64(high01, high23));
  }
}

}  // namespace

void transpose_avx512(const void* from, int64_t from_bytes, int64_t rows, int64_t columns, void* to, int64_t to_words) {
  // Rows inside: what is written goes on where it stopped.
  for (int64_t j = 0; j < columns; j += 16) {
    for (int64_t i = 0; i < rows; i += 16) {
      const uint8_t* block = static_cast<const uint8_t*>(from) + i * from_bytes + j * 4;
      int32_t* turned = static_cast<int32_t*>(to) + j * to_words + i;
      if (rows - i >= 16 && columns - j >= 16) {
        transpose_whole_block(block, from_bytes, turned, to_words);
      } else {
        transpose_block(block, from_bytes, std::min<int64_t>(16, rows - i), std::min<int64_t>(16, columns - j), turned,
                        to_words);
      }
    }
  }
}

}  // namespace tersor::cpu
