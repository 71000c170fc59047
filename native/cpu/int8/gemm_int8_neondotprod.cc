// The unit multiplies i8 by i8: codes of x come 128 less, and their zero points too. Four columns' bytes of a step are
// a register, and meet a lane of four steps of a row.
#include "cpu/int8/gemm_int8.h"
#include "cpu/int8/int8_panel.h"
#include "cpu/vector/by_element_neon.h"

namespace tersor::cpu {
namespace {

constexpr int kRows = 8;
constexpr int64_t kUnroll = 4;  // steps

// Registers of four columns: fewer rows take more of them.
constexpr int vectors_of(int rows) { return rows <= 2 ? 8 : rows <= 4 ? 4 : 2; }

// As many columns as fit in registers, from `column` on; sums are [rows][32].
template <int kTileRows>
void multiply_columns(const Int8Panel& p, int64_t column, int32_t* sums) {
  constexpr int kVectors = vectors_of(kTileRows);
  int32x4_t sum[kTileRows][kVectors];
  for_constants<kTileRows>([&](auto i) __attribute__((always_inline)) {
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
      sum[i][v] = vld1q_s32(sums + i * kInt8Columns + column + 4 * v);
    });
  });
  const int8_t* w = p.w + column * kInt8Depth;
  const auto* x = reinterpret_cast<const int8_t*>(p.x);
  int64_t step = 0;
  for (; step + kUnroll <= p.steps; step += kUnroll, w += kUnroll * kInt8StepBytes) {
    int8x16_t four[kTileRows];
    for_constants<kTileRows>([&](auto i) __attribute__((always_inline)) {
      four[i] = vld1q_s8(x + i * p.x_stride + step * kInt8Depth);
    });
    for_constants<kUnroll>([&](auto at) __attribute__((always_inline)) {
      for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
        const int8x16_t columns = vld1q_s8(w + at * kInt8StepBytes + v * 16);
        for_constants<kTileRows>([&](auto i) __attribute__((always_inline)) {
          sum[i][v] = vdotq_laneq_s32(sum[i][v], columns, four[i], at);
        });
      });
    });
  }
  for (; step < p.steps; ++step, w += kInt8StepBytes) {
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
      const int8x16_t columns = vld1q_s8(w + v * 16);
      for_constants<kTileRows>([&](auto i) __attribute__((always_inline)) {
        const auto* one = reinterpret_cast<const int32_t*>(x + i * p.x_stride + step * kInt8Depth);
        sum[i][v] = vdotq_s32(sum[i][v], columns, vreinterpretq_s8_s32(vld1q_dup_s32(one)));
      });
    });
  }
  for_constants<kTileRows>([&](auto i) __attribute__((always_inline)) {
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
      vst1q_s32(sums + i * kInt8Columns + column + 4 * v, sum[i][v]);
    });
  });
}

template <int kTileRows>
void multiply_rows(const Int8Panel& p) {
  if constexpr (kTileRows > 1) {
    if (p.rows < kTileRows) return multiply_rows<kTileRows - 1>(p);
  }
  alignas(64) int32_t sums[kTileRows][kInt8Columns];
  start_panel(p, sums[0]);
  for (int64_t column = 0; column < kInt8Columns; column += 4 * vectors_of(kTileRows)) {
    multiply_columns<kTileRows>(p, column, sums[0]);
  }
  finish_panel(p, sums[0]);
}

}  // namespace

tersor_status gemm_int8_neondotprod(tersor_context* context, const Int8Product& product) {
  return gemm_int8_tiles(context, product, {.rows = kRows, .signed_codes = true, .multiply = multiply_rows<kRows>});
}

}  // namespace tersor::cpu
