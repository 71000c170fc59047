// SparseGPT with the kernels of one ISA; operations.h has the one that chooses.
#pragma once

#include "cpu/compress/second_order.h"
#include "cpu/operations.h"

namespace tersor::cpu {

tersor_status sparse_gpt_with(SecondOrderKernel* kernel, tersor_context*, const tersor_tensor* w,
                              const tersor_tensor* hessian, const tersor_sparse_gpt_options*, const tersor_affine*,
                              const tersor_tensor* y);

}  // namespace tersor::cpu
