// What changes with the instruction set in an SVD: all of it. Declarations only, since vector files include this.
#pragma once

#include <cstdint>

namespace tersor::cpu {

// Thin SVD of a[rows, columns] into u[rows, k], s[k], vt[k, columns], k = min(rows, columns) >= 1, all row-major, signs
// as they come. False when the iteration did not converge; throws std::bad_alloc.
using SvdKernel = bool(const float* a, int64_t rows, int64_t columns, float* u, float* s, float* vt);

SvdKernel svd_scalar, svd_avx2, svd_avx512;

}  // namespace tersor::cpu
