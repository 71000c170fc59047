// The reference: the definition, one block after the other.
#include <cstring>

#include "cpu/int8/int8_panel.h"
#include "cpu/sparse/block_gemm_int8.h"

namespace tersor::cpu {
namespace {

constexpr int64_t kStepBytes = kBlockInt8Tokens * kInt8Depth;

void multiply(const BlockInt8Panel& p) {
  int32_t sums[kBlockInt8Tokens][kInt8Columns];
  start_panel(p, sums[0]);
  const int8_t* w = p.w;
  for (int64_t step = 0; step < p.steps; ++step, w += p.block_rows * kInt8Depth) {
    const uint8_t* x = p.x + int64_t{p.columns[step]} * kStepBytes;
    for (int64_t i = 0; i < p.rows; ++i, x += kInt8Depth) {
      for (int64_t j = 0; j < p.block_rows; ++j) {
        for (int64_t k = 0; k < kInt8Depth; ++k) sums[i][j] += x[k] * w[j * kInt8Depth + k];
      }
    }
  }
  finish_panel(p, sums[0]);
}

void lay_out(const uint8_t* from, int64_t stride, int64_t steps, uint8_t* to) {
  for (int64_t step = 0; step < steps; ++step) {
    for (int64_t i = 0; i < kBlockInt8Tokens; ++i, to += kInt8Depth) {
      std::memcpy(to, from + i * stride + step * kInt8Depth, kInt8Depth);
    }
  }
}

}  // namespace

tersor_status block_gemm_int8_scalar(tersor_context* context, const BlockInt8Product& product) {
  return block_gemm_int8_tiled(context, product, {multiply, lay_out});
}

}  // namespace tersor::cpu
