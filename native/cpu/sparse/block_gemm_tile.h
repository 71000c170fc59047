// Blocks against a tile of x, written once for every vector ISA. Anonymous, so that each file that includes it has its
// own code for its own ISA.
//
// Vector brings: Register, kWidth, kRows, load, store, broadcast(p), multiply_add(a, b, c).
#pragma once

#include "cpu/sparse/block_gemm.h"
#include "cpu/vector/outer_product.h"

namespace tersor::cpu {
namespace {

template <typename Vector>
struct BlockTile {
  static void multiply(const BlockRun& blocks, const float* x, int64_t rows, float* sums) {
    for (int64_t i = 0; i < rows; i += Vector::kRows) {
      int64_t j = 0;
      for (; j + 2 * Vector::kWidth <= blocks.block_rows; j += 2 * Vector::kWidth) {
        by_rows<2, Vector::kRows>(blocks, j, x + i, rows - i, sums + i * kBlockLargestRows + j);
      }
      if (j < blocks.block_rows)
        by_rows<1, Vector::kRows>(blocks, j, x + i, rows - i, sums + i * kBlockLargestRows + j);
    }
  }

 private:
  template <int kVectors, int kRows>
  static void by_rows(const BlockRun& blocks, int64_t first, const float* x, int64_t rows, float* sums) {
    if constexpr (kRows > 1) {
      if (rows < kRows) return by_rows<kVectors, kRows - 1>(blocks, first, x, rows, sums);
    }
    typename Vector::Register sum[kRows][kVectors];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[i][v] = Vector::load(sums + i * kBlockLargestRows + v * Vector::kWidth);
    }
    const float* values = blocks.values + first;
    for (int64_t b = 0; b < blocks.count; ++b) {
      const float* at = x + blocks.columns[b] * blocks.block_cols * kBlockTokens;
      for (int64_t k = 0; k < blocks.block_cols; ++k, at += kBlockTokens, values += blocks.block_rows) {
        typename Vector::Register value[kVectors];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) value[v] = Vector::load(values + v * Vector::kWidth);
        Vector::fetch(values + kAhead);
        add_outer_product<Vector>(at, value, sum);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) Vector::store(sums + i * kBlockLargestRows + v * Vector::kWidth, sum[i][v]);
    }
  }

  static constexpr int64_t kAhead = 1024;  // floats of the weight that are fetched before they are needed
};

}  // namespace
}  // namespace tersor::cpu
