// Integers of four bits (int4.h) in registers. Anonymous, because every file that includes it compiles it for its own
// ISA.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace tersor::cpu {
namespace {

// 64 bytes as i8: 64 numbers of 8 bits or 128 of 4.
template <int kBits>
[[gnu::always_inline]] inline void load_integers(const uint8_t* from, __m512i (&numbers)[8 / kBits]) {
  numbers[0] = _mm512_loadu_si512(from);
  if constexpr (kBits == 4) {
    const __m512i low = _mm512_set1_epi8(15), zero = _mm512_set1_epi8(8);
    numbers[1] = _mm512_sub_epi8(_mm512_and_si512(_mm512_srli_epi16(numbers[0], 4), low), zero);
    numbers[0] = _mm512_sub_epi8(_mm512_and_si512(numbers[0], low), zero);
  }
}

// 32 bytes as 64 integers of four bits, those of their low halves first.
[[gnu::always_inline]] inline __m512i load_halves(const uint8_t* from) {
  const __m512i bytes = _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  const __m512i halves = _mm512_srlv_epi64(bytes, _mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4));
  return _mm512_sub_epi8(_mm512_and_si512(halves, _mm512_set1_epi8(15)), _mm512_set1_epi8(8));
}

}  // namespace
}  // namespace tersor::cpu
