// The reference: the definition, one block after the other.
#include "cpu/int8/int8_panel.h"
#include "cpu/sparse/block_gemm_int8.h"

namespace tersor::cpu {
namespace {

void multiply(const BlockInt8Panel& p) {
  int32_t sums[kBlockInt8Rows][kInt8Columns];
  start_panel(p, sums[0]);
  const int8_t* w = p.w;
  for (int64_t step = 0; step < p.steps; ++step, w += p.block_rows * kInt8Depth) {
    const uint8_t* x = p.x + int64_t{p.columns[step]} * kInt8Depth;
    for (int64_t i = 0; i < p.rows; ++i, x += p.x_stride) {
      for (int64_t j = 0; j < p.block_rows; ++j) {
        for (int64_t k = 0; k < kInt8Depth; ++k) sums[i][j] += x[k] * w[j * kInt8Depth + k];
      }
    }
  }
  finish_panel(p, sums[0]);
}

}  // namespace

tersor_status block_gemm_int8_scalar(tersor_context* context, const BlockInt8Product& product) {
  return block_gemm_int8_tiled(context, product, multiply);
}

}  // namespace tersor::cpu
