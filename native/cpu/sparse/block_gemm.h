// Products with weights whose zeros come in blocks: the kernels behind the backend's `block_gemm`.
#pragma once

#include "backend/backend.h"
#include "backend/kernels.h"

namespace tersor::cpu {

inline constexpr int64_t kBlockLargestRows = 32;  // of a block
inline constexpr int64_t kBlockTokens = 8;        // rows of x in a register tile

// Consecutive blocks of one panel.
struct BlockRun {
  const uint32_t* columns;  // of each block, in blocks
  const float* values;      // [count][block_cols][block_rows]
  int64_t count, block_rows, block_cols;
};

// sums[i][32] += the blocks' product with x, laid out [column][8], for rows i < rows <= 8 of it. Columns of sums past
// block_rows are not touched.
using BlockKernel = void(const BlockRun& blocks, const float* x, int64_t rows, float* sums);

extern const KernelList<BlockKernel> block_gemm_kernels;

BlockKernel block_gemm_scalar;
BlockKernel block_gemm_neon;
BlockKernel block_gemm_avx2;
BlockKernel block_gemm_avx512;

// The operation with a kernel of the caller's choice.
tersor_status block_gemm_with(BlockKernel* kernel, tersor_context* context, const tersor_tensor* x,
                              const tersor_blocks* w, const tersor_epilogue* epilogue, const tersor_tensor* y);

// Offsets start at 0, never decrease and end at the number of blocks; columns ascend inside a panel and lie inside the
// weight.
tersor_status check_blocks(tersor_context* context, const tersor_blocks* w);

}  // namespace tersor::cpu
