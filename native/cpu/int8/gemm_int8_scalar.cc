#include "cpu/int8/gemm_int8.h"
#include "cpu/int8/int8_panel.h"

namespace tersor::cpu {
namespace {

constexpr int kRows = 4;

void multiply(const Int8Panel& p) {
  int32_t sums[kRows][kInt8Columns];
  start_panel(p, sums[0]);
  for (int64_t i = 0; i < p.rows; ++i) {
    for (int64_t step = 0; step < p.steps; ++step) {
      const uint8_t* x = p.x + i * p.x_stride + step * kInt8Depth;
      const int8_t* w = p.w + step * kInt8StepBytes;
      for (int64_t j = 0; j < kInt8Columns; ++j) {
        for (int64_t k = 0; k < kInt8Depth; ++k) sums[i][j] += x[k] * w[j * kInt8Depth + k];
      }
    }
  }
  finish_panel(p, sums[0]);
}

}  // namespace

tersor_status gemm_int8_scalar(tersor_context* context, const Int8Product& product) {
  return gemm_int8_tiles(context, product, {.rows = kRows, .multiply = multiply});
}

}  // namespace tersor::cpu
