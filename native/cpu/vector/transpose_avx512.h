// Squares of 16 x 16 words turned in registers (AVX-512). Anonymous, because every file that includes it compiles it
// for its own ISA.
#pragma once

#include <immintrin.h>

namespace tersor::cpu {
namespace {

// Rows become columns.
inline void transpose_registers(__m512i (&r)[16]) {
  __m512i pair[16], quad[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    pair[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    pair[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
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
    r[c] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
    r[c + 4] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
    r[c + 8] = _mm512_shuffle_i32x4(even_low, even_high, 0xdd);
    r[c + 12] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd);
  }
}

}  // namespace
}  // namespace tersor::cpu
