#include "cpu/int8/int4_avx512.h"
#include "cpu/int8/int8_panel_avx512.h"

namespace tersor::cpu {
namespace {

constexpr int kRows = 12;
constexpr int kUnroll = 4;

// The 32 rows of a step.
template <int kBits>
[[gnu::always_inline]] inline void load_step(const int8_t* from, __m512i (&values)[2]) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(from);
  if constexpr (kBits == 4) {
    load_integers<4>(bytes, values);
  } else {
    values[0] = _mm512_loadu_si512(bytes);
    values[1] = _mm512_loadu_si512(bytes + 64);
  }
}

// kSets sets of accumulators take turns, so that few rows still cover the multipliers' latency.
template <int kTileRows, int kBits, int kLines>
void multiply_rows(const Int8Panel& p) {
  constexpr int kStepBytes = kInt8StepBytes * kBits / 8;
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
    __m512i values[2];
    load_step<kBits>(w + at * kStepBytes, values);
#pragma GCC unroll 12
    for (int i = 0; i < kTileRows; ++i) {
      const __m512i four = broadcast(x[i / 3] + i % 3 * stride + at * kInt8Depth);
      set[i][0] = multiply_add(set[i][0], four, values[0]);
      set[i][1] = multiply_add(set[i][1], four, values[1]);
    }
  };
  const auto advance = [&](int steps) __attribute__((always_inline)) {
    for (int i = 0; i < kThrees; ++i) x[i] += steps * kInt8Depth;
    w += steps * kStepBytes;
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

template <int kTileRows, int kBits, int kLines>
void multiply_rest(const Int8Panel& p) {
  if constexpr (kTileRows > 1) {
    if (p.rows < kTileRows) return multiply_rest<kTileRows - 1, kBits, kLines>(p);
  }
  multiply_rows<kTileRows, kBits, kLines>(p);
}

void multiply(const Int8Panel& p) {
  if (p.bits == 4) return multiply_rest<kRows, 4, 4>(p);
  if (p.ahead_lines == 1) return multiply_rest<kRows, 8, 1>(p);
  if (p.ahead_lines == 4) return multiply_rest<kRows, 8, 4>(p);
  multiply_rest<kRows, 8, 8>(p);
}

}  // namespace

tersor_status gemm_int8_avx512vnni(tersor_context* context, const Int8Product& product) {
  return gemm_int8_tiles(context, product,
                         {.rows = kRows,
                          .reads_int4 = true,
                          .multiply = multiply,
                          .multiply_nm = multiply_nm_avx512vnni,
                          .nm_rows = kNmChosenRows});
}

}  // namespace tersor::cpu
