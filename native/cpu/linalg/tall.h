// Products of a tall matrix a[m,n] with few columns, as an iteration on a^T a needs them: a is read where it lies,
// once.
#pragma once

#include "backend/backend.h"
#include "backend/kernels.h"
#include "cpu/linalg/tall_kernels.h"

namespace tersor::cpu {

extern const KernelList<TallKernel> tall_kernels;

// z[n, width] = a^T * (a * x[n, width]), and image[m, width] = a * x unless it is null; width is a multiple of the
// kernel's vector. Same bits on any number of threads.
tersor_status multiply_normal(tersor_context* context, const TallKernels& kernels, const float* a, int64_t m, int64_t n,
                              const float* x, int64_t width, float* z, float* image = nullptr);

}  // namespace tersor::cpu
