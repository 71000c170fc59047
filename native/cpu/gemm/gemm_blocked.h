// The part of the fast f32 GEMM that is the same on every vector ISA: blocking for caches, packing, threads.
//
// Two ways, chosen by shape alone:
//  - dots: both operands lie along k and there are few rows, so tiles of dot products read them where they are;
//  - panels (Goto & van de Geijn 2008): a is packed into panels of `tile_rows` rows and b into panels of `tile_columns`
//  columns,
//    both k-major; b stays where it is when its rows already are contiguous and too few rows of a would repay the copy.
#pragma once

#include <cstdint>

#include "cpu/gemm/gemm.h"

namespace tersor::cpu {

// What a vector ISA brings.
struct GemmTiles {
  int tile_rows, tile_columns;  // of one register tile in panels

  // c[i][j] = (accumulate ? c : 0) + sum_p a[p * tile_rows + i] * b[p * ldb + j], i < rows <= tile_rows, j < columns <=
  // tile_columns.
  void (*multiply_panels)(int64_t k, const float* a, const float* b, int64_t ldb, float* c, int64_t ldc, int rows,
                          int columns, bool accumulate);

  // panel[p * width + l] = source[l * lane_stride + p * k_stride], or 0 for lanes <= l < width; one of the strides
  // is 1. May write up to kPanelSlack elements past the panel.
  void (*pack_rows)(const float* source, int64_t lane_stride, int64_t k_stride, int lanes, int64_t k, float* panel);
  void (*pack_columns)(const float* source, int64_t lane_stride, int64_t k_stride, int lanes, int64_t k, float* panel);

  // c[i][j] = (accumulate ? c : 0) + sum_p a[i * lda + p] * b[j * ldb + p] for any rows and columns.
  void (*multiply_dots)(int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc,
                        int64_t rows, int64_t columns, bool accumulate);
};

inline constexpr int64_t kPanelSlack = 16;

tersor_status gemm_blocked(const GemmArguments& arguments, const GemmTiles& tiles);

}  // namespace tersor::cpu
