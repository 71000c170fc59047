#include <immintrin.h>

#include "limit_loops.h"
#include "limit_rows.h"

namespace tersor::bench {

int64_t f32_peak_avx512(int64_t rounds) {
  constexpr int kSums = 12;
  __m512 sums[kSums] = {};
  const __m512 a = _mm512_set1_ps(1.0f);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kSums; ++i) asm volatile("vfmadd231ps %1, %1, %0" : "+v"(sums[i]) : "v"(a));
  }
  return rounds * kSums * 16 * 2;
}

void stream_avx512(const void* data, int64_t bytes) {
  constexpr int kStreams = 8;
  const auto* at = static_cast<const __m512i*>(data);
  const __m512i* end = at + bytes / 64;
  __m512i sums[kStreams] = {};
  for (; at < end; at += kStreams) {
#pragma GCC unroll 8
    for (int i = 0; i < kStreams; ++i) sums[i] = _mm512_xor_si512(sums[i], _mm512_load_si512(at + i));
  }
#pragma GCC unroll 8
  for (int i = 0; i < kStreams; ++i) asm volatile("" ::"v"(sums[i]));
}

void rows_avx512(const void* table, int64_t row_bytes, const int32_t* ids, int64_t count, int64_t ahead, bool to_l2) {
  __m512i sums[2] = {};
  read_rows(table, row_bytes, ids, count, ahead, to_l2, [&](const char* row) {
    int64_t at = 0;
    for (; at + 64 <= row_bytes; at += 64) sums[0] = _mm512_xor_si512(sums[0], _mm512_loadu_si512(row + at));
    const auto rest = static_cast<__mmask8>((1u << ((row_bytes - at) / 8)) - 1);
    sums[1] = _mm512_xor_si512(sums[1], _mm512_maskz_loadu_epi64(rest, row + at));
  });
  asm volatile("" ::"v"(sums[0]), "v"(sums[1]));
}

}  // namespace tersor::bench
