// Cholesky factorization in double: the triangular half of least squares, GPTQ and CholeskyQR.
#pragma once

#include "backend/kernels.h"
#include "cpu/aligned.h"
#include "cpu/linalg/cholesky_kernels.h"

namespace tersor::cpu {

extern const KernelList<CholeskyKernel> cholesky_kernels;

// A symmetric positive definite matrix, given by its lower triangle, that becomes its lower factor: a = l * l^T.
class Cholesky {
 public:
  explicit Cholesky(const CholeskyKernels& kernels) : kernels_(kernels) {}

  // Room for a matrix of n x n; set every element of the lower triangle then.
  tersor_status allocate(tersor_context* context, int64_t n);

  // Rows of one column lie `lanes` together: setting and reading walk down columns best.
  double& at(int64_t row, int64_t column) const {
    const int64_t tile = row / kernels_.lanes;
    return tiles_[tile * (tile + 1) / 2 * kernels_.lanes * kernels_.lanes + column * kernels_.lanes +
                  row % kernels_.lanes];
  }

  // TERSOR_CANCELLED, or TERSOR_OK: then *failed is the first column that is not independent of those before it, or -1.
  tersor_status factor(tersor_context* context, int64_t* failed);

  // x [rows, n] = z [rows, n] * l^-T, rounded once; x may be z. Only after `factor` found no dependent column.
  tersor_status divide_rows(tersor_context* context, const float* z, int64_t rows, float* x) const;

 private:
  double* tile_at(int64_t tile) const {
    return tiles_.data() + tile * (tile + 1) / 2 * kernels_.lanes * kernels_.lanes;
  }

  const CholeskyKernels& kernels_;
  int64_t n_ = 0;
  AlignedBuffer<double> tiles_;
};

}  // namespace tersor::cpu
