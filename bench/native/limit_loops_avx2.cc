#include <immintrin.h>

#include <cstring>

#include "limit_loops.h"
#include "limit_rows.h"

namespace tersor::bench {
namespace {

constexpr int kSums = 10;  // two multiply-adds a cycle, five cycles each

}  // namespace

int64_t f32_peak_avx2(int64_t rounds) {
  __m256 sums[kSums] = {};
  const __m256 a = _mm256_set1_ps(1.0f);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 10
    for (int i = 0; i < kSums; ++i) asm volatile("vfmadd231ps %1, %1, %0" : "+x"(sums[i]) : "x"(a));
  }
  return rounds * kSums * 8 * 2;
}

// Pairs of 16-bit products: those of 8 bits (vpmaddubsw) saturate, so that an exact kernel cannot use them.
int64_t int8_peak_avx2(int64_t rounds) {
  __m256i sums[kSums] = {};
  const __m256i a = _mm256_set1_epi16(1);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 10
    for (int i = 0; i < kSums; ++i) {
      __m256i product;
      asm volatile("vpmaddwd %2, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sums[i]), "=&x"(product) : "x"(a));
    }
  }
  return rounds * kSums * 16 * 2;
}

void stream_avx2(const void* data, int64_t bytes) {
  constexpr int kStreams = 8;
  const auto* at = static_cast<const __m256i*>(data);
  const __m256i* end = at + bytes / 32;
  __m256i sums[kStreams] = {};
  for (; at < end; at += kStreams) {
#pragma GCC unroll 8
    for (int i = 0; i < kStreams; ++i) sums[i] = _mm256_xor_si256(sums[i], _mm256_load_si256(at + i));
  }
#pragma GCC unroll 8
  for (int i = 0; i < kStreams; ++i) asm volatile("" ::"x"(sums[i]));
}

void rows_avx2(const void* table, int64_t row_bytes, const int32_t* ids, int64_t count, int64_t ahead, bool to_l2) {
  __m256i sum = {};
  int64_t words = 0;
  read_rows(table, row_bytes, ids, count, ahead, to_l2, [&](const char* row) {
    int64_t at = 0;
    for (; at + 32 <= row_bytes; at += 32) {
      sum = _mm256_xor_si256(sum, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + at)));
    }
    for (; at < row_bytes; at += 8) {
      int64_t word;
      std::memcpy(&word, row + at, sizeof word);
      words ^= word;
    }
  });
  asm volatile("" ::"x"(sum), "r"(words));
}

}  // namespace tersor::bench
