// x^T x summed over batches of rows: the kernels behind the backend's `gram`.
#pragma once

#include "backend/kernels.h"
#include "core/status.h"

namespace tersor::cpu {

// h[i][j] = sum_t x[t][i] * x[t][j] + (accumulate ? h[i][j] : 0) for j >= i; the other half is left as it is.
struct GramArguments {
  int64_t rows, columns;
  const float* x;  // [rows, columns]
  float* h;        // [columns, columns]
  bool accumulate;
  const volatile int32_t* cancel;
};

// TERSOR_OK, TERSOR_CANCELLED or TERSOR_OUT_OF_MEMORY.
using GramKernel = tersor_status(const GramArguments&);

extern const KernelList<GramKernel> gram_kernels;

GramKernel gram_scalar;
GramKernel gram_neon;
GramKernel gram_avx2;
GramKernel gram_avx512;

}  // namespace tersor::cpu
