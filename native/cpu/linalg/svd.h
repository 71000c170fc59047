// Singular value decomposition by Eigen; operations.h has the one that chooses the kernel.
#pragma once

#include "backend/kernels.h"
#include "cpu/linalg/svd_kernels.h"
#include "cpu/operations.h"

namespace tersor::cpu {

extern const KernelList<SvdKernel> svd_kernels;

tersor_status svd_with(SvdKernel* kernel, tersor_context*, const tersor_tensor* a, const tersor_tensor* u,
                       const tersor_tensor* s, const tersor_tensor* vt);

// Makes the largest |element| of every column of u[rows, rank] positive (the first one of equals), so that the result
// is unique; rows of vt[rank, columns] follow.
void fix_signs(float* u, int64_t rows, int64_t rank, float* vt, int64_t columns);

// "3.4.0": the Eigen that was compiled in.
const char* eigen_version();

}  // namespace tersor::cpu
