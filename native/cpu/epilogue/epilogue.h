// What every product ends with, on a tile of its sums that is still in cache:
//   y = activation(sums + bias) + residual.
// The same bits on every ISA.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "backend/kernels.h"

namespace tersor::cpu {

// tersor_epilogue of a product with y[m, columns].
struct Epilogue {
  const float* bias;      // [columns] or null
  const float* residual;  // [m, columns] or null
  tersor_activation activation;
  int64_t columns;

  // True when y = sums.
  bool is_identity() const { return bias == nullptr && residual == nullptr && activation == TERSOR_IDENTITY; }
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

}  // namespace tersor::cpu
