// What changes with the instruction set in a Cholesky factorization. Declarations only, since vector files include
// this.
#pragma once

#include <cstdint>

namespace tersor::cpu {

// The lower triangle of a symmetric matrix in tiles of `lanes` rows: tile t holds rows [t * lanes, (t + 1) * lanes) of
// columns [0, (t + 1) * lanes), column by column, at double t * (t + 1) / 2 * lanes^2.
struct CholeskyKernels {
  int lanes;
  int block;  // columns worked on at a time, whole tiles

  // Turns columns [begin, end) of tile `tile`, which lies at `own`, into those of the factor; the earlier columns and,
  // unless it lies inside the block itself, the tiles of the block must be done. Returns the first column whose pivot
  // is not positive, or -1.
  int64_t (*factor_tile)(const double* tiles, double* own, int64_t tile, int64_t begin, int64_t end);
};

using CholeskyKernel = const CholeskyKernels&();
CholeskyKernel cholesky_scalar, cholesky_avx2, cholesky_avx512, cholesky_neon;

}  // namespace tersor::cpu
