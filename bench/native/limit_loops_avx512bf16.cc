#include <immintrin.h>

#include "limit_loops.h"

namespace tersor::bench {

int64_t bf16_peak_avx512bf16(int64_t rounds) {
  constexpr int kSums = 12;
  __m512 sums[kSums] = {};
  const __m512i a = _mm512_set1_epi16(0x3f80);  // 1
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kSums; ++i) asm volatile("vdpbf16ps %1, %1, %0" : "+v"(sums[i]) : "v"(a));
  }
  return rounds * kSums * 32 * 2;
}

}  // namespace tersor::bench
