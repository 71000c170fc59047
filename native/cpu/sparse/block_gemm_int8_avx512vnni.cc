#include "cpu/int8/int8_panel_avx512.h"
#include "cpu/sparse/block_gemm_int8.h"

namespace tersor::cpu {
namespace {

constexpr int kRows = kBlockInt8Tokens;
constexpr int64_t kStepBytes = kBlockInt8Tokens * kInt8Depth;
constexpr int kUnroll = 4;

// kSets sets of accumulators take turns, so that few rows still cover the multipliers' latency.
template <int kTileRows, int kHalves>
void multiply_rows(const BlockInt8Panel& p) {
  constexpr int kChains = kTileRows * kHalves, kSets = kChains <= 2 ? 4 : kChains <= 8 ? 2 : 1;
  Sums<kTileRows> sums[kSets];
  start<kTileRows>(p, sums[0]);
#pragma GCC unroll 4
  for (int set = 1; set < kSets; ++set) {
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) sums[set][i][0] = sums[set][i][1] = _mm512_setzero_si512();
  }
  const uint8_t* const from = p.x;
  const uint32_t* columns = p.columns;
  const int8_t *w = p.w, *ahead = p.ahead;
  const auto step = [&](int at, auto& set) __attribute__((always_inline)) {
    const uint8_t* x = from + int64_t{columns[at]} * kStepBytes;
    // The address in a register: an indexed operand would take a step of its own in every load.
    __asm__("" : "+r"(x));
    __m512i value[kHalves];
#pragma GCC unroll 2
    for (int half = 0; half < kHalves; ++half) value[half] = _mm512_loadu_si512(w + (at * kHalves + half) * 64);
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) {
      const __m512i four = broadcast(x + i * kInt8Depth);
#pragma GCC unroll 2
      for (int half = 0; half < kHalves; ++half) set[i][half] = multiply_add(set[i][half], four, value[half]);
    }
  };
  int64_t left = p.steps;
#pragma GCC unroll 1
  for (; left >= kUnroll; left -= kUnroll) {
#pragma GCC unroll 1
    for (int line = 0; line < p.ahead_lines; ++line, ahead += 64) __builtin_prefetch(ahead);
#pragma GCC unroll 4
    for (int at = 0; at < kUnroll; ++at) step(at, sums[at % kSets]);
    columns += kUnroll;
    w += kUnroll * kHalves * 64;
  }
#pragma GCC unroll 1
  for (; left > 0; --left) {
    step(0, sums[0]);
    ++columns;
    w += kHalves * 64;
  }
  add_sets(sums);
  finish<kTileRows>(p, sums[0]);
}

template <int kTileRows, int kHalves>
void multiply_rest(const BlockInt8Panel& p) {
  if constexpr (kTileRows > 1) {
    if (p.rows < kTileRows) return multiply_rest<kTileRows - 1, kHalves>(p);
  }
  multiply_rows<kTileRows, kHalves>(p);
}

void multiply(const BlockInt8Panel& p) {
  if (p.block_rows == 32) return multiply_rest<kRows, 2>(p);
  multiply_rest<kRows, 1>(p);
}

// 16 steps at a time: words of four rows are brought together by unpacking, then those of all eight.
void lay_out(const uint8_t* from, int64_t stride, int64_t steps, uint8_t* to) {
  const __m512i two_low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
  const __m512i two_high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  for (int64_t step = 0; step < steps; step += 16, from += 64, to += 16 * kStepBytes) {
    __m512i four[2][4];
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      __m512i row[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) row[i] = _mm512_loadu_si512(from + (half * 4 + i) * stride);
      const __m512i low01 = _mm512_unpacklo_epi32(row[0], row[1]), high01 = _mm512_unpackhi_epi32(row[0], row[1]);
      const __m512i low23 = _mm512_unpacklo_epi32(row[2], row[3]), high23 = _mm512_unpackhi_epi32(row[2], row[3]);
      four[half][0] = _mm512_unpacklo_epi64(low01, low23);
      four[half][1] = _mm512_unpackhi_epi64(low01, low23);
      four[half][2] = _mm512_unpacklo_epi64(high01, high23);
      four[half][3] = _mm512_unpackhi_epi64(high01, high23);
    }
    // four[half][c] holds steps c, c + 4, c + 8 and c + 12, one in every 128 bits.
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const __m512i low = _mm512_permutex2var_epi64(four[0][c], two_low, four[1][c]);
      const __m512i high = _mm512_permutex2var_epi64(four[0][c], two_high, four[1][c]);
      uint8_t* at = to + c * kStepBytes;
      const auto store = [at](int64_t place, __m256i eight) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(at + place * kStepBytes), eight);
      };
      store(0, _mm512_castsi512_si256(low));
      store(4, _mm512_extracti64x4_epi64(low, 1));
      store(8, _mm512_castsi512_si256(high));
      store(12, _mm512_extracti64x4_epi64(high, 1));
    }
  }
}

}  // namespace

tersor_status block_gemm_int8_avx512vnni(tersor_context* context, const BlockInt8Product& product) {
  return block_gemm_int8_tiled(context, product, {multiply, lay_out});
}

}  // namespace tersor::cpu
