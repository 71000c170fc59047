// The reference: the definition, one block after the other.
#include "cpu/sparse/block_gemm.h"

namespace tersor::cpu {

void block_gemm_scalar(const BlockRun& blocks, const float* x, int64_t rows, float* sums) {
  const float* values = blocks.values;
  for (int64_t b = 0; b < blocks.count; ++b) {
    const float* at = x + blocks.columns[b] * blocks.block_cols * kBlockTokens;
    for (int64_t k = 0; k < blocks.block_cols; ++k, at += kBlockTokens, values += blocks.block_rows) {
      for (int64_t i = 0; i < rows; ++i) {
        float* __restrict to = sums + i * kBlockLargestRows;
        for (int64_t j = 0; j < blocks.block_rows; ++j) to[j] += at[i] * values[j];
      }
    }
  }
}

}  // namespace tersor::cpu
