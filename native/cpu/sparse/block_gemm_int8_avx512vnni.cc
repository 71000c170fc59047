#include "cpu/int8/int4_avx512.h"
#include "cpu/int8/int8_panel_avx512.h"
#include "cpu/sparse/block_gemm_int8.h"

namespace tersor::cpu {
namespace {

constexpr int kRows = kBlockInt8Rows;
constexpr int kUnroll = 4;

// The 32 or 16 rows of a block.
template <int kHalves, int kBits>
[[gnu::always_inline]] inline void load_block(const int8_t* from, __m512i (&value)[kHalves]) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(from);
  if constexpr (kBits == 8) {
#pragma GCC unroll 2
    for (int half = 0; half < kHalves; ++half) value[half] = _mm512_loadu_si512(bytes + half * 64);
  } else if constexpr (kHalves == 2) {
    load_integers<4>(bytes, value);
  } else {
    value[0] = load_halves(bytes);
  }
}

// kSets sets of accumulators take turns, so that few rows still cover the multipliers' latency.
template <int kTileRows, int kHalves, int kBits, int kLines>
void multiply_rows(const BlockInt8Panel& p) {
  constexpr int kChains = kTileRows * kHalves, kSets = kChains <= 2 ? 4 : kChains <= 8 ? 2 : 1;
  constexpr int kBlockBytes = kHalves * 8 * kBits;
  Sums<kTileRows> sums[kSets];
  start<kTileRows>(p, sums[0]);
#pragma GCC unroll 4
  for (int set = 1; set < kSets; ++set) {
#pragma GCC unroll 12
    for (int i = 0; i < kTileRows; ++i) sums[set][i][0] = sums[set][i][1] = _mm512_setzero_si512();
  }
  // A pointer for every three rows: with the stride and its double as an index, four reach twelve rows.
  constexpr int kThrees = (kTileRows + 2) / 3;
  const uint8_t* threes[kThrees];
#pragma GCC unroll 4
  for (int i = 0; i < kThrees; ++i) threes[i] = p.x + i * 3 * p.x_stride;
  const int64_t stride = p.x_stride;
  const uint32_t* columns = p.columns;
  const int8_t *w = p.w, *ahead = p.ahead;
  const auto step = [&](int at, auto& set) __attribute__((always_inline)) {
    const int64_t column = int64_t{columns[at]} * kInt8Depth;
    __m512i value[kHalves];
    load_block<kHalves, kBits>(w + at * kBlockBytes, value);
    const uint8_t* x[kThrees];
#pragma GCC unroll 4
    for (int i = 0; i < kThrees; ++i) x[i] = threes[i] + column;
#pragma GCC unroll 12
    for (int i = 0; i < kTileRows; ++i) {
      const __m512i four = broadcast(x[i / 3] + i % 3 * stride);
#pragma GCC unroll 2
      for (int half = 0; half < kHalves; ++half) set[i][half] = multiply_add(set[i][half], four, value[half]);
    }
  };
  int64_t left = p.steps;
#pragma GCC unroll 1
  for (; left >= kUnroll; left -= kUnroll) {
#pragma GCC unroll 8
    for (int line = 0; line < kLines; ++line) __builtin_prefetch(ahead + line * 64);
#pragma GCC unroll 4
    for (int at = 0; at < kUnroll; ++at) step(at, sums[at % kSets]);
    columns += kUnroll;
    w += kUnroll * kBlockBytes;
    ahead += kLines * 64;
  }
#pragma GCC unroll 1
  for (; left > 0; --left) {
    step(0, sums[0]);
    ++columns;
    w += kBlockBytes;
  }
  add_sets(sums);
  finish<kTileRows>(p, sums[0]);
}

template <int kTileRows, int kHalves, int kBits, int kLines>
void multiply_rest(const BlockInt8Panel& p) {
  if constexpr (kTileRows > 1) {
    if (p.rows < kTileRows) return multiply_rest<kTileRows - 1, kHalves, kBits, kLines>(p);
  }
  multiply_rows<kTileRows, kHalves, kBits, kLines>(p);
}

template <int kHalves, int kBits>
void multiply_blocks(const BlockInt8Panel& p) {
  constexpr int kAll = kHalves * kBits / 2;  // lines of four blocks
  if (p.ahead_lines >= kAll) return multiply_rest<kRows, kHalves, kBits, kAll>(p);
  if (p.ahead_lines >= kAll / 2) return multiply_rest<kRows, kHalves, kBits, kAll / 2>(p);
  multiply_rest<kRows, kHalves, kBits, 1>(p);
}

void multiply(const BlockInt8Panel& p) {
  if (p.block_rows == 32) return p.bits == 4 ? multiply_blocks<2, 4>(p) : multiply_blocks<2, 8>(p);
  if (p.bits == 4) return multiply_blocks<1, 4>(p);
  multiply_blocks<1, 8>(p);
}

}  // namespace

tersor_status block_gemm_int8_avx512vnni(tersor_context* context, const BlockInt8Product& product) {
  return block_gemm_int8_tiled(context, product, multiply);
}

}  // namespace tersor::cpu
