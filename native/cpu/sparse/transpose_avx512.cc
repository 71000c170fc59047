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
