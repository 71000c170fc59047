// Dense decompositions in double that randomized ones end in. Declarations only, since vector files include this.
#pragma once

#include <cstdint>

namespace tersor::cpu {

struct SpectralKernels {
  // a[n,n] symmetric, its lower triangle read: becomes its orthonormal eigenvectors, [n,n], those of column j belonging
  // to values[j], descending. False when the iteration did not converge; throws std::bad_alloc.
  bool (*symmetric_eigen)(double* a, int64_t n, double* values);
  // Orthonormal columns q[rows, columns] that span those of a, rows >= columns, by Householder reflections: orthonormal
  // whatever a is. q may be a. Throws std::bad_alloc.
  void (*orthonormal)(const float* a, int64_t rows, int64_t columns, float* q);
};

using SpectralKernel = const SpectralKernels&();
SpectralKernel spectral_scalar, spectral_avx2, spectral_avx512;

}  // namespace tersor::cpu
