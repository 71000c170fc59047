// What changes with the instruction set in products of a tall matrix with few columns. Declarations only, since vector
// files include this.
#pragma once

#include <cstdint>

namespace tersor::cpu {

struct TallKernels {
  int vector;  // widths are multiples of this
  // y[rows, width] -= a[rows, n] * x[n, width], all without gaps.
  void (*multiply)(const float* a, int64_t rows, int64_t n, const float* x, int64_t width, float* y);
  // z[n, width] -= a[rows, n]^T * y[rows, width].
  void (*multiply_transposed)(const float* a, int64_t rows, int64_t n, const float* y, int64_t width, float* z);
};

using TallKernel = const TallKernels&();
TallKernel tall_scalar, tall_avx2, tall_avx512, tall_neon;

}  // namespace tersor::cpu
