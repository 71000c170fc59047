#include "cpu/int8/int8_panel_avx512.h"

namespace tersor::cpu {
namespace {

constexpr int kRows = 12;
constexpr int kUnroll = 4;

// kSets sets of accumulators take turns, so that few rows still cover the multipliers' latency.
template <int kTileRows, int kLines>
void multiply_rows(const Int8Panel& p) {
  constexpr int kSets = kTileRows == 1 ? 4 : kTileRows <= 4 ? 2 : 1;
  Sums<kTileRows> sums[kSets];
  start<kTileRows>(p, sums[0]);
#pragma GCC unroll 4
  for (int set = 1; set < kSets; ++set) {
#pragma GCC unroll 4
    for (int i = 0; i < kTileRows; ++i) sums[set][i][0] = sums[set][i][1] = _mm512_setzero_si512();
  }
  // A pointer for every three rows: with the stride and its double as an index, four reach twelve rows.
  constexpr int kThrees = (kTileRows + 2) / 3;
  const uint8_t* x[kThrees];
  for (int i = 0; i < kThrees; ++i) x[i] = p.x + i * 3 * p.x_stride;
  const int64_t stride = p.x_stride;
  const int8_t *w = p.w, *ahead = p.ahead;
  const auto step = [&](int at, auto& set) __attribute__((always_inline)) {
    const __m512i low = _mm512_loadu_si512(w + at * kInt8StepBytes);
    const __m512i high = _mm512_loadu_si512(w + at * kInt8StepBytes + 64);
#pragma GCC unroll 12
    for (int i = 0; i < kTileRows; ++i) {
      const __m512i four = broadcast(x[i / 3] + i % 3 * stride + at * kInt8Depth);
      set[i][0] = multiply_add(set[i][0], four, low);
      set[i][1] = multiply_add(set[i][1], four, high);
    }
  };
  const auto advance = [&](int steps) __attribute__((always_inline)) {
    for (int i = 0; i < kThrees; ++i) x[i] += steps * kInt8Depth;
    w += steps * kInt8StepBytes;
  };
  int64_t left = p.steps;
#pragma GCC unroll 1
  for (; left >= kUnroll; left -= kUnroll) {
#pragma GCC unroll 8
    for (int line = 0; line < kLines; ++line) __builtin_prefetch(ahead + line * 64);
#pragma GCC unroll 4
    for (int at = 0; at < kUnroll; ++at) step(at, sums[at % kSets]);
    advance(kUnroll);
    ahead += kLines * 64;
  }
#pragma GCC unroll 1
  for (; left > 0; --left) {
    step(0, sums[0]);
    advance(1);
  }
  add_sets(sums);
  finish<kTileRows>(p, sums[0]);
}

template <int kTileRows, int kLines>
void multiply_rest(const Int8Panel& p) {
  if constexpr (kTileRows > 1) {
    if (p.rows < kTileRows) return multiply_rest<kTileRows - 1, kLines>(p);
  }
  multiply_rows<kTileRows, kLines>(p);
}

void multiply(const Int8Panel& p) {
  if (p.ahead_lines == 1) return multiply_rest<kRows, 1>(p);
  if (p.ahead_lines == 4) return multiply_rest<kRows, 4>(p);
  multiply_rest<kRows, 8>(p);
}

}  // namespace

tersor_status gemm_int8_avx512vnni(tersor_context* context, const Int8Product& product) {
  return gemm_int8_tiles(context, product, {.rows = kRows, .multiply = multiply});
}

}  // namespace tersor::cpu
