// What every product ends with, on a tile of its sums that is still in cache:
//   y = activation(sums + bias) + residual,
// the sums being those of one product, or of two (low_rank).
// The same bits on every ISA.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "backend/kernels.h"
#include "cpu/low_rank/low_rank.h"

namespace tersor::cpu {

// tersor_epilogue of a product with y[m, columns].
struct Epilogue {
  const float* bias;      // [columns] or null
  const float* residual;  // [m, columns] or null
  tersor_activation activation;
  int64_t columns;
  LowRankTerm low_rank{};  // added to the sums first

  // True when y = sums.
  bool is_identity() const {
    return bias == nullptr && residual == nullptr && activation == TERSOR_IDENTITY && low_rank.reduced == nullptr;
  }

  // Of a product with the rows from `row` on alone.
  Epilogue from_row(int64_t row) const {
    Epilogue rest = *this;
    if (residual != nullptr) rest.residual += row * columns;
    if (low_rank.reduced != nullptr) rest.low_rank.reduced += row * low_rank.rank;
    return rest;
  }
};

// A null epilogue is the identity.
Epilogue make_epilogue(const tersor_epilogue* epilogue, int64_t columns);

// Rows [row, row + rows) and columns [column, column + width) of a product.
struct EpilogueTile {
  int64_t row, rows, column, width;
};

// y[i * y_stride + j] from sums[i * sums_stride + j], where y points at the tile's first element; in place allowed.
using EpilogueKernel = void(const Epilogue&, const EpilogueTile&, const float* sums, int64_t sums_stride, float* y,
                            int64_t y_stride);

extern const KernelList<EpilogueKernel> epilogue_kernels;

EpilogueKernel epilogue_scalar;
EpilogueKernel epilogue_avx2;
EpilogueKernel epilogue_avx512;

// With the best kernel. `y` is the whole row-major matrix [m, columns].
inline void apply_epilogue(const Epilogue& epilogue, const EpilogueTile& tile, const float* sums, int64_t sums_stride,
                           float* y) {
  epilogue_kernels.best()(epilogue, tile, sums, sums_stride, y + tile.row * epilogue.columns + tile.column,
                          epilogue.columns);
}

// The same for the sums of a product that may have a term of low rank.
inline void finish_sums(const Epilogue& epilogue, const EpilogueTile& tile, float* sums, int64_t sums_stride,
                        float* y) {
  if (epilogue.low_rank.reduced != nullptr) {
    epilogue.low_rank.add_to(tile.row, tile.rows, tile.column, tile.width, sums, sums_stride);
  }
  apply_epilogue(epilogue, tile, sums, sums_stride, y);
}

}  // namespace tersor::cpu
