// Products with N:M sparse weights: the kernels behind the backend's `nm_gemm`.
#pragma once

#include "backend/backend.h"
#include "backend/kernels.h"
#include "cpu/epilogue/epilogue.h"
#include "cpu/sparse/nm_layout.h"

namespace tersor::cpu {

// y[m, w.rows] = epilogue(x[m, w.columns] * w^T).
struct NmProduct {
  int64_t m;
  const float* x;
  NmMatrix w;
  Epilogue epilogue;
  float* y;
};

using NmKernel = tersor_status(tersor_context*, const NmProduct&);

extern const KernelList<NmKernel> nm_gemm_kernels;

NmKernel nm_gemm_scalar;
NmKernel nm_gemm_neon;
NmKernel nm_gemm_avx2;
NmKernel nm_gemm_avx512;

// The operation with a kernel of the caller's choice.
tersor_status nm_gemm_with(NmKernel* kernel, tersor_context* context, const tersor_tensor* x, const tersor_nm* w,
                           const tersor_epilogue* epilogue, const tersor_tensor* y);

// --- what kernels share ----------------------------------------------------------------------------------------------

// Consecutive chunks of a panel.
struct NmChunks {
  const uint8_t* data;
  int64_t count;
  int64_t places, choice_words;  // of a chunk
  const uint8_t* next;           // what will be read after these, to be fetched meanwhile
};

// What an ISA brings. There are two ways to the same sums. Lanes stand for the rows of a panel and choose from a chunk
// of x: that costs as much for every row of x. Or lanes stand for rows of x, turned so that a weight meets all of them
// at one address: that takes many rows at once.
struct NmTiles {
  // sums[i][16] = the panel's product with `rows` rows of x, laid out [chunk][row][16].
  void (*choose)(const NmChunks& w, const float* x, int64_t rows, float* sums);
  int64_t choose_rows;  // the most rows that it takes

  // sums[16][lanes] (+)= the panel's product with turned rows of x, [chunk * 16 + column][lanes].
  void (*turned)(const NmChunks& w, const float* x, bool accumulate, float* sums);
  int64_t lanes;          // a multiple of 16
  int64_t turned_chunks;  // the most chunks that it takes, so that x stays in L1
  int64_t fewest_turned;  // rows of x from which on a call of `turned` beats calls of `choose`

  // to[c][r] = from[r][c] for r < rows and c < columns, else 0; to is 16x16, 64-byte aligned, its stride too.
  void (*turn)(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to, int64_t to_stride);
};

tersor_status nm_gemm_tiled(tersor_context* context, const NmProduct& product, const NmTiles& tiles);

}  // namespace tersor::cpu
