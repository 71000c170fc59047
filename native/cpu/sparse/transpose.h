// Matrices of 32-bit words turned: activations side by side for the CSR products, and their sums back.
#pragma once

#include <cstdint>

#include "backend/kernels.h"

namespace tersor::cpu {

// to[j][i] = from[i][j] for i < rows and j < columns. Rows start `from_bytes` apart in `from` and `to_words` words
// apart in `to`; neither needs to be aligned.
using TransposeKernel = void(const void* from, int64_t from_bytes, int64_t rows, int64_t columns, void* to,
                             int64_t to_words);

extern const KernelList<TransposeKernel> transpose_kernels;

TransposeKernel transpose_scalar, transpose_avx512;

}  // namespace tersor::cpu
