// The vectors that every processor of this kind has: SSE2 on x86-64, NEON on arm64.
#include <cstring>

#include "limit_loops.h"
#include "limit_rows.h"

namespace tersor::bench {
namespace {

using FourFloats [[gnu::vector_size(16)]] = float;
using TwoWords [[gnu::vector_size(16)]] = int64_t;

// Makes the sums count as used, by way of their total: used as they are, they would live in memory.
template <typename Vector, int kCount>
void keep(const Vector (&sums)[kCount]) {
  Vector total = sums[0];
#pragma GCC unroll 16
  for (int i = 1; i < kCount; ++i) total += sums[i];
  asm volatile("" ::"m"(total));
}

}  // namespace

int64_t f32_peak_scalar(int64_t rounds) {
  constexpr int kSums = 12;
  FourFloats sums[kSums] = {}, factor = {1, 1, 1, 1}, term = {1, 1, 1, 1};
  for (int64_t round = 0; round < rounds; ++round) {
    // Keeps the product from being taken out of the loop.
    asm volatile("" : "+m"(factor));
    const FourFloats changed = factor;
#pragma GCC unroll 12
    for (int i = 0; i < kSums; ++i) sums[i] = sums[i] * changed + term;
  }
  keep(sums);
  return rounds * kSums * 4 * 2;
}

void stream_scalar(const void* data, int64_t bytes) {
  constexpr int kSums = 8;
  const char* at = static_cast<const char*>(data);
  TwoWords sums[kSums] = {};
  for (int64_t offset = 0; offset < bytes; offset += kSums * 16) {
#pragma GCC unroll 8
    for (int i = 0; i < kSums; ++i) {
      TwoWords words;
      std::memcpy(&words, at + offset + i * 16, sizeof words);
      sums[i] ^= words;
    }
  }
  keep(sums);
}

void rows_scalar(const void* table, int64_t row_bytes, const int32_t* ids, int64_t count, int64_t ahead, bool to_l2) {
  int64_t words = 0;
  read_rows(table, row_bytes, ids, count, ahead, to_l2, [&](const char* row) {
    for (int64_t at = 0; at < row_bytes; at += 8) {
      int64_t word;
      std::memcpy(&word, row + at, sizeof word);
      words ^= word;
    }
  });
  asm volatile("" ::"r"(words));
}

}  // namespace tersor::bench
