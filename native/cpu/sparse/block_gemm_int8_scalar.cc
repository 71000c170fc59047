// The reference: the definition, one block after the other.
#include <cstring>

#include "cpu/int8/int8_panel.h"
#include "cpu/sparse/block_gemm_int8.h"

namespace tersor::cpu {
namespace {

// The values of a block of `count`.
void load_block(const BlockInt8Panel& p, int64_t step, int64_t count, int8_t* values) {
  if (p.bits == 8) {
    std::memcpy(values, p.w + step * count, static_cast<size_t>(count));
    return;
  }
  const int64_t half = count / 2;
  const auto* pairs = reinterpret_cast<const uint8_t*>(p.w) + step * half;
  for (int64_t i = 0; i < half; ++i) {
    values[i] = static_cast<int8_t>((pairs[i] & 15) - 8);
    values[half + i] = static_cast<int8_t>((pairs[i] >> 4) - 8);
  }
}

void multiply(const BlockInt8Panel& p) {
  int32_t sums[kBlockInt8Rows][kInt8Columns];
  start_panel(p, sums[0]);
  int8_t w[kInt8StepBytes];
  for (int64_t step = 0; step < p.steps; ++step) {
    load_block(p, step, p.block_rows * kInt8Depth, w);
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
