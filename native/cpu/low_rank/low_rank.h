// Products of low rank: the kernels behind the backend's `low_rank_gemm`, and the term that other products add to their
// sums.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "backend/kernels.h"

namespace tersor::cpu {

// Columns of a tile of a packed factor: of all products whose tiles may take a term of low rank, a multiple or a part.
inline constexpr int64_t kFactorColumns = 32;

// What is summed in one go; the sums of such parts of a long one are added up in their order.
inline constexpr int64_t kFactorDepth = 256;

struct LowRankKernels {
  // c[i * c_stride + j] = (accumulate ? c : 0) + sum_p a[i * a_stride + p] * b[p * kFactorColumns + j], j < columns <=
  // kFactorColumns. The sum is taken in order of p.
  void (*multiply)(int64_t rows, int64_t columns, int64_t depth, const float* a, int64_t a_stride, const float* b,
                   float* c, int64_t c_stride, bool accumulate);
  // c[tiles * kFactorColumns] of a single row, from whole tiles b[tiles][depth][kFactorColumns]: the bits that
  // `multiply` gives by parts of kFactorDepth, from as many sums at a time as cover the latency of an addition.
  void (*multiply_row)(int64_t tiles, int64_t depth, const float* a, const float* b, float* c);
};

using LowRankKernel = const LowRankKernels&();

extern const KernelList<LowRankKernel> low_rank_kernels;

LowRankKernel low_rank_scalar;
LowRankKernel low_rank_neon;
LowRankKernel low_rank_avx2;
LowRankKernel low_rank_avx512;

// left^T of a weight left * right, as pack_low_rank lays it out, and x * right^T.
struct LowRankTerm {
  const LowRankKernels* kernels;
  const float* reduced;  // [m, rank]; null: no term
  int64_t rank;
  const float* left;

  // sums[i * sums_stride + j] += the term's element (row + i, column + j), i < rows, j < width.
  void add_to(int64_t row, int64_t rows, int64_t column, int64_t width, float* sums, int64_t sums_stride) const;
};

// The operation with a kernel of the caller's choice.
tersor_status low_rank_gemm_with(LowRankKernel* kernel, tersor_context* context, const tersor_tensor* x,
                                 const tersor_addend* addend, const tersor_low_rank* w, const tersor_epilogue* epilogue,
                                 const tersor_tensor* y);

}  // namespace tersor::cpu
