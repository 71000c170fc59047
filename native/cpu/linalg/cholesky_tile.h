// The body of every cholesky_<isa>.cc. Left-looking: a block of columns first gives up what all columns before it
// explain, in products that read each tile once, and is then solved panel by panel.
#pragma once

#include <cmath>

#include "cpu/linalg/cholesky_kernels.h"
#include "cpu/linalg/panel_update.h"

namespace tersor::cpu {
namespace {

constexpr int kLanes = PanelUpdateF64::kLanes, kColumns = PanelUpdateF64::kColumns;
static_assert(kLanes % kColumns == 0, "a panel lies inside one tile");
constexpr int64_t kDepth = 96;  // columns of a product at a time: the tile's part stays in L1

inline const double* tile_at(const double* tiles, int64_t tile) {
  return tiles + tile * (tile + 1) / 2 * kLanes * kLanes;
}

// Rows of `own` against the rows of panel `column`, over columns [first, last).
inline void subtract(const double* tiles, double* own, int64_t column, int64_t first, int64_t last) {
  const double* other = tile_at(tiles, column / kLanes) + column % kLanes;
  PanelUpdateF64::run(last - first, own + first * kLanes, kLanes, other + first * kLanes, kLanes, own + column * kLanes,
                      kLanes);
}

inline int64_t factor_tile(const double* tiles, double* own, int64_t tile, int64_t begin, int64_t block_end) {
  const int64_t end = block_end < (tile + 1) * kLanes ? block_end : (tile + 1) * kLanes;
  for (int64_t first = 0; first < begin; first += kDepth) {
    const int64_t last = first + kDepth < begin ? first + kDepth : begin;
    for (int64_t column = begin; column < end; column += kColumns) subtract(tiles, own, column, first, last);
  }
  for (int64_t column = begin; column < end; column += kColumns) {
    subtract(tiles, own, column, begin, column);
    const bool diagonal = column / kLanes == tile;
    const double* pivots = tile_at(tiles, column / kLanes) + column * kLanes + column % kLanes;
    for (int j = 0; j < kColumns; ++j) {
      double* x = own + (column + j) * kLanes;
      const double pivot = pivots[j * kLanes + j];
      if (diagonal && !(pivot > 0 && pivot < HUGE_VAL)) return column + j;
      const double root = diagonal ? std::sqrt(pivot) : pivot;
      for (int lane = 0; lane < kLanes; ++lane) x[lane] /= root;
      for (int k = j + 1; k < kColumns; ++k) {
        double* y = own + (column + k) * kLanes;
        const double factor = pivots[j * kLanes + k];
        for (int lane = 0; lane < kLanes; ++lane) y[lane] -= x[lane] * factor;
      }
    }
  }
  return -1;
}

constexpr CholeskyKernels kCholesky = {.lanes = kLanes, .block = 4 * kLanes, .factor_tile = factor_tile};

}  // namespace
}  // namespace tersor::cpu
