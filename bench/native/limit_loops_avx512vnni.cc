#include <immintrin.h>

#include "limit_loops.h"

namespace tersor::bench {

int64_t int8_peak_avx512vnni(int64_t rounds) {
  constexpr int kSums = 12;
  __m512i sums[kSums] = {};
  const __m512i a = _mm512_set1_epi8(1);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kSums; ++i) asm volatile("vpdpbusd %1, %1, %0" : "+v"(sums[i]) : "v"(a));
  }
  return rounds * kSums * 64 * 2;
}

}  // namespace tersor::bench
