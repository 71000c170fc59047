// Blocks of i8 against rows of x, written once for every vector ISA of few rows. Anonymous, so that each file that
// includes it has its own code for its own ISA.
//
// Dot brings: Register (of i32), kWidth, load, store, Input and Weight, input(four codes), which come to be in every
// lane, weight(four values for each lane), add(sums, Input, Weight); kRows: how many rows' sums of 32 columns and of 16
// fit in registers.
#pragma once

#include "cpu/int8/int8_panel.h"
#include "cpu/sparse/block_gemm_int8.h"

namespace tersor::cpu {
namespace {

template <typename Dot>
struct BlockInt8Rows {
  static void multiply(const BlockInt8Panel& p) {
    alignas(64) int32_t sums[kBlockInt8Rows * kInt8Columns];
    start_panel(p, sums);
    if (p.block_rows == 32) {
      by_tiles<32, Dot::kRows[0]>(p, sums);
    } else {
      by_tiles<16, Dot::kRows[1]>(p, sums);
    }
    finish_panel(p, sums);
  }

 private:
  template <int kColumns, int kRows>
  static void by_tiles(const BlockInt8Panel& p, int32_t* sums) {
    for (int64_t i = 0; i < p.rows; i += kRows) by_rows<kColumns / Dot::kWidth, kRows>(p, i, sums);
  }

  template <int kVectors, int kRows>
  static void by_rows(const BlockInt8Panel& p, int64_t first, int32_t* memory) {
    if constexpr (kRows > 1) {
      if (p.rows - first < kRows) return by_rows<kVectors, kRows - 1>(p, first, memory);
    }
    const auto place = [&](int i, int v) { return memory + (first + i) * kInt8Columns + v * Dot::kWidth; };
    typename Dot::Register sums[kRows][kVectors];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sums[i][v] = Dot::load(place(i, v));
    }
    const int8_t* w = p.w;
    for (int64_t step = 0; step < p.steps; ++step, w += kVectors * Dot::kWidth * kInt8Depth) {
      const uint8_t* x = p.x + int64_t{p.columns[step]} * kInt8Depth + first * p.x_stride;
      typename Dot::Input four[kRows];
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) four[i] = Dot::input(x + i * p.x_stride);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        const auto value = Dot::weight(w + v * Dot::kWidth * kInt8Depth);
#pragma GCC unroll 8
        for (int i = 0; i < kRows; ++i) sums[i][v] = Dot::add(sums[i][v], four[i], value);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) Dot::store(place(i, v), sums[i][v]);
    }
  }
};

}  // namespace
}  // namespace tersor::cpu
