#pragma once

#include "cpu/int8/gemm_int8.h"

namespace tersor::cpu {

// The operation with a dense kernel of the caller's choice.
tersor_status nm_gemm_int8_with(Int8Kernel* kernel, tersor_context* context, const tersor_tensor* x, const tersor_nm* w,
                                const tersor_int8_codes* input, const tersor_tensor* scales,
                                const tersor_epilogue* epilogue, const tersor_tensor* y);

}  // namespace tersor::cpu
