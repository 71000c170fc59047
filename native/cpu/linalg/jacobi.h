// Singular values of small matrices by one-sided Jacobi rotations (Hestenes 1958): columns are turned against each
// other, two at a time, until all are orthogonal; their lengths are the singular values. Small ones come out as exact,
// relative to themselves, as the columns are (Demmel & Veselic 1992).
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "backend/kernels.h"
#include "cpu/linalg/jacobi_kernels.h"

namespace tersor::cpu {

extern const KernelList<JacobiKernel> jacobi_kernels;

// The operation, by a kernel of the caller's choice.
tersor_status svd_batched_by(JacobiKernel* kernel, tersor_context* context, const tersor_tensor* a,
                             const tersor_tensor* u, const tersor_tensor* s, const tersor_tensor* vt);

}  // namespace tersor::cpu
