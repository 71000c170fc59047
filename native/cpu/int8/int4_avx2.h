// Integers of four bits (int4.h) in registers. Anonymous, because every file that includes it compiles it for its own
// ISA.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace tersor::cpu {
namespace {

// 32 bytes as i8: 32 numbers of 8 bits or, of 4, 32 and those that come 64 after them.
template <int kBits>
[[gnu::always_inline]] inline void load_integers(const uint8_t* from, __m256i (&numbers)[8 / kBits]) {
  numbers[0] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  if constexpr (kBits == 4) {
    const __m256i low = _mm256_set1_epi8(15), zero = _mm256_set1_epi8(8);
    numbers[1] = _mm256_sub_epi8(_mm256_and_si256(_mm256_srli_epi16(numbers[0], 4), low), zero);
    numbers[0] = _mm256_sub_epi8(_mm256_and_si256(numbers[0], low), zero);
  }
}

}  // namespace
}  // namespace tersor::cpu
