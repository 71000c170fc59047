// What changes with the instruction set in products of a tall matrix with few columns. Declarations only, since vector
// files include this.
#pragma once

#include <cstdint>

namespace tersor::cpu {

// Rows of a[rows, n] have no gaps; those of x, y and z lie a stride apart.
struct TallKernels {
  int vector;  // widths are multiples of this
  // y[rows, width] = a * x[n, width]. Meanwhile asks for as many rows from `next` on, unless it is null.
  void (*multiply)(const float* a, const float* next, int64_t rows, int64_t n, const float* x, int64_t x_stride,
                   int64_t width, float* y, int64_t y_stride);
  // z[n, width] += a^T * y[rows, width].
  void (*multiply_transposed)(const float* a, int64_t rows, int64_t n, const float* y, int64_t y_stride, int64_t width,
                              float* z, int64_t z_stride);
  // sum[columns] += sum over i < count of factors[i] * rows[i][columns].
  void (*add_rows)(const float* const* rows, const float* factors, int64_t count, int64_t columns, float* sum);
};

using TallKernel = const TallKernels&();
TallKernel tall_scalar, tall_avx2, tall_avx512, tall_neon;

}  // namespace tersor::cpu
