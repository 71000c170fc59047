// f32 matrix product: the kernels behind the backend's `gemm` and `gemm_packed`.
#pragma once

#include <cstdint>

#include "backend/kernels.h"
#include "core/status.h"
#include "cpu/epilogue/epilogue.h"

namespace tersor::cpu {

// A matrix read through two strides, in elements; one of them is 1.
struct StridedMatrix {
  const float* data;
  int64_t row_stride, column_stride;
};

// c[m,n] = epilogue(a[m,k] * b[k,n] + (accumulate ? c : 0)); c is row-major without gaps.
struct GemmArguments {
  int64_t m, n, k;
  StridedMatrix a, b;
  const float* panels;  // packed as in gemm_layout.h, in place of `b`, with a by rows and no accumulation; or null
  bool bf16_panels;     // they hold pairs of bf16; sums are those of the same numbers in f32, to the bit
  float* c;
  Epilogue epilogue;
  bool accumulate;
  const volatile int32_t* cancel;
};

// TERSOR_OK, TERSOR_CANCELLED or TERSOR_OUT_OF_MEMORY.
using GemmKernel = tersor_status(const GemmArguments&);

extern const KernelList<GemmKernel> gemm_kernels;

GemmKernel gemm_scalar;
GemmKernel gemm_neon;
GemmKernel gemm_avx2;
GemmKernel gemm_avx512;

// Applies the epilogue in place to columns [column, column + columns) of rows [row, row + rows) of c.
void gemm_finish(const GemmArguments& arguments, int64_t row, int64_t rows, int64_t column, int64_t columns);

// gemm_packed with an epilogue of ours.
tersor_status multiply_packed(tersor_context* context, const tersor_tensor* x, const tersor_packed* w,
                              const Epilogue& epilogue, const tersor_tensor* y);

// Runs a kernel; on failure fills the context's message.
tersor_status run_gemm(GemmKernel* kernel, const GemmArguments& arguments, tersor_context* context,
                       const char* operation);

}  // namespace tersor::cpu
