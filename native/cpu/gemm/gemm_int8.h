// Exact sums of u8 x i8 products: the kernels behind the backend's `gemm_int8`.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "backend/kernels.h"

namespace tersor::cpu {

// sums[i][j] = (accumulate ? sums[i][j] : 0) + sum_p x[i * x_stride + p] * w[j * w_stride + p]; k in all <=
// kLongestInt8Sum.
using Int8DotsKernel = void(int64_t k, const uint8_t* x, int64_t x_stride, int64_t rows, const int8_t* w,
                            int64_t w_stride, int64_t columns, int32_t* sums, int64_t sums_stride, bool accumulate);

// 255 * 128 * k must stay below 2^31, also after the zero point is taken off (|x - zero_point| <= 255).
inline constexpr int64_t kLongestInt8Sum = 65792;

extern const KernelList<Int8DotsKernel> gemm_int8_kernels;

// The whole operation with a kernel of the caller's choice.
tersor_status gemm_int8_with(Int8DotsKernel* dots, tersor_context* context, const tersor_tensor* x,
                             const tersor_tensor* w, const tersor_int8_epilogue* epilogue, const tersor_tensor* y);

Int8DotsKernel int8_dots_scalar;
Int8DotsKernel int8_dots_avx2;
Int8DotsKernel int8_dots_avx512vnni;

}  // namespace tersor::cpu
