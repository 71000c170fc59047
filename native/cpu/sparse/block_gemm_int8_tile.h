// Blocks of integers against rows of x, written once for every vector ISA of few rows. Anonymous, so that each file
// that includes it has its own code for its own ISA.
//
// Dot brings: Register (of i32), kWidth, load, store, Input and Weight, input(four codes), which come to be in every
// lane, Bytes (four values for each lane), integers<kBits>(from, Bytes[8 / kBits]), weight(Bytes), add(sums, Input,
// Weight); kRows: how many rows' sums of 32 columns and of 16 fit in registers.
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
    if (p.bits == 4) {
      by_tiles<4>(p, sums);
    } else {
      by_tiles<8>(p, sums);
    }
    finish_panel(p, sums);
  }

 private:
  template <int kBits>
  static void by_tiles(const BlockInt8Panel& p, int32_t* sums) {
    if (p.block_rows == 32) {
      by_tiles<kBits, 32, Dot::kRows[0]>(p, sums);
    } else {
      by_tiles<kBits, 16, Dot::kRows[1]>(p, sums);
    }
  }

  template <int kBits, int kColumns, int kRows>
  static void by_tiles(const BlockInt8Panel& p, int32_t* sums) {
    for (int64_t i = 0; i < p.rows; i += kRows) by_rows<kBits, kColumns / Dot::kWidth, kRows>(p, i, sums);
  }

  template <int kBits, int kVectors, int kRows>
  static void by_rows(const BlockInt8Panel& p, int64_t first, int32_t* memory) {
    if constexpr (kRows > 1) {
      if (p.rows - first < kRows) return by_rows<kBits, kVectors, kRows - 1>(p, first, memory);
    }
    constexpr int kVectorBytes = Dot::kWidth * kInt8Depth;
    // Of four bits, the other half of what is loaded together stands half a block away.
    constexpr int kTogether = 8 / kBits, kApart = kVectors / kTogether;
    const auto place = [&](int i, int v) { return memory + (first + i) * kInt8Columns + v * Dot::kWidth; };
    typename Dot::Register sums[kRows][kVectors];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sums[i][v] = Dot::load(place(i, v));
    }
    const auto* w = reinterpret_cast<const uint8_t*>(p.w);
    for (int64_t step = 0; step < p.steps; ++step, w += kApart * kVectorBytes) {
      const uint8_t* x = p.x + int64_t{p.columns[step]} * kInt8Depth + first * p.x_stride;
      typename Dot::Input four[kRows];
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) four[i] = Dot::input(x + i * p.x_stride);
#pragma GCC unroll 8
      for (int v = 0; v < kApart; ++v) {
        typename Dot::Bytes values[kTogether];
        Dot::template integers<kBits>(w + v * kVectorBytes, values);
#pragma GCC unroll 2
        for (int half = 0; half < kTogether; ++half) {
          const auto value = Dot::weight(values[half]);
          const int at = half * kApart + v;
#pragma GCC unroll 8
          for (int i = 0; i < kRows; ++i) sums[i][at] = Dot::add(sums[i][at], four[i], value);
        }
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
