// Blocks of i8 against rows of x with 256-bit vectors, written once for AVX2 and AVX-VNNI. Anonymous, so that each
// file that includes it has its own code for its own ISA.
//
// Dot brings: kRows, Input and Weight, input(four codes in every lane), weight(four values in each of eight lanes),
// add(sums, Input, Weight).
#pragma once

#include <immintrin.h>

#include <cstring>

#include "cpu/int8/int8_panel.h"
#include "cpu/sparse/block_gemm_int8.h"

namespace tersor::cpu {
namespace {

template <typename Dot>
struct BlockInt8Ymm {
  static constexpr int kWidth = 8;

  static void multiply(const BlockInt8Panel& p) {
    alignas(32) int32_t sums[kBlockInt8Rows * kInt8Columns];
    start_panel(p, sums);
    for (int64_t i = 0; i < p.rows; i += Dot::kRows) {
      if (p.block_rows == 32) {
        by_rows<Dot::kRows, 4>(p, i, sums);
      } else {
        by_rows<Dot::kRows, 2>(p, i, sums);
      }
    }
    finish_panel(p, sums);
  }

 private:
  template <int kRows, int kVectors>
  static void by_rows(const BlockInt8Panel& p, int64_t first, int32_t* memory) {
    if constexpr (kRows > 1) {
      if (p.rows - first < kRows) return by_rows<kRows - 1, kVectors>(p, first, memory);
    }
    const auto place = [&](int i, int v) {
      return reinterpret_cast<__m256i*>(memory + (first + i) * kInt8Columns + v * kWidth);
    };
    __m256i sums[kRows][kVectors];
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[i][v] = _mm256_load_si256(place(i, v));
    }
    const int8_t* w = p.w;
    for (int64_t step = 0; step < p.steps; ++step, w += kVectors * 32) {
      const uint8_t* x = p.x + int64_t{p.columns[step]} * kInt8Depth + first * p.x_stride;
      typename Dot::Input four[kRows];
#pragma GCC unroll 4
      for (int i = 0; i < kRows; ++i) {
        int32_t codes;
        std::memcpy(&codes, x + i * p.x_stride, sizeof codes);
        four[i] = Dot::input(_mm256_set1_epi32(codes));
      }
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const auto value = Dot::weight(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + v * 32)));
#pragma GCC unroll 4
        for (int i = 0; i < kRows; ++i) sums[i][v] = Dot::add(sums[i][v], four[i], value);
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) _mm256_store_si256(place(i, v), sums[i][v]);
    }
  }
};

}  // namespace
}  // namespace tersor::cpu
