#include "cpu/quantized/gemm_quantized_tile.h"
#include "cpu/vector/by_element_neon.h"

namespace tersor::cpu {
namespace {

constexpr int kRows = 8, kVectors = 2;

// Four k of every row of x at a time, which are lanes of a register.
template <int kTileRows>
void multiply_rows(int64_t depth, const float* x, int64_t x_stride, const float* panel, float* sums) {
  float32x4_t sum[kTileRows][kVectors];
  for_constants<kTileRows>([&](auto i) __attribute__((always_inline)) {
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
      sum[i][v] = vld1q_f32(sums + i * kTileColumns + 4 * v);
    });
  });
  int64_t k = 0;
  for (; k + 4 <= depth; k += 4) {
    float32x4_t four[kTileRows];
    for_constants<kTileRows>([&](auto i) __attribute__((always_inline)) { four[i] = vld1q_f32(x + i * x_stride + k); });
    for_constants<4>([&](auto lane) __attribute__((always_inline)) {
      for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
        const float32x4_t column = vld1q_f32(panel + (k + lane) * kTileColumns + 4 * v);
        for_constants<kTileRows>([&](auto i) __attribute__((always_inline)) {
          sum[i][v] = vfmaq_laneq_f32(sum[i][v], column, four[i], lane);
        });
      });
    });
  }
  for (; k < depth; ++k) {
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
      const float32x4_t column = vld1q_f32(panel + k * kTileColumns + 4 * v);
      for_constants<kTileRows>([&](auto i) __attribute__((always_inline)) {
        sum[i][v] = vfmaq_n_f32(sum[i][v], column, x[i * x_stride + k]);
      });
    });
  }
  for_constants<kTileRows>([&](auto i) __attribute__((always_inline)) {
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
      vst1q_f32(sums + i * kTileColumns + 4 * v, sum[i][v]);
    });
  });
}

template <int kTileRows>
void multiply_rest(int64_t depth, const float* x, int64_t x_stride, int64_t rows, const float* panel, float* sums) {
  if constexpr (kTileRows > 1) {
    if (rows < kTileRows) return multiply_rest<kTileRows - 1>(depth, x, x_stride, rows, panel, sums);
  }
  multiply_rows<kTileRows>(depth, x, x_stride, panel, sums);
}

void multiply(int64_t depth, const float* x, int64_t x_stride, int64_t rows, const float* panel, float* sums) {
  for (int64_t i = 0; i < rows; i += kRows) {
    for (int64_t j = 0; j < kTileColumns; j += 4 * kVectors) {
      multiply_rest<kRows>(depth, x + i * x_stride, x_stride, rows - i, panel + j, sums + i * kTileColumns + j);
    }
  }
}

}  // namespace

tersor_status gemm_quantized_neon(tersor_context* context, const QuantizedProduct& product) {
  return gemm_quantized_float(context, product, {expand_block, expand_codebook<OneColumn>, multiply, 0, nullptr});
}

}  // namespace tersor::cpu
