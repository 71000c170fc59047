#include "cpu/quantized/gemm_quantized_tile.h"

namespace tersor::cpu {
namespace {

void multiply(int64_t depth, const float* x, int64_t x_stride, int64_t rows, const float* panel, float* sums) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t k = 0; k < depth; ++k) {
      const float factor = x[i * x_stride + k];
      for (int64_t j = 0; j < kTileColumns; ++j) sums[i * kTileColumns + j] += factor * panel[k * kTileColumns + j];
    }
  }
}

}  // namespace

tersor_status gemm_quantized_scalar(tersor_context* context, const QuantizedProduct& product) {
  return gemm_quantized_float(context, product, {expand_block, expand_codebook<OneColumn>, multiply, 0, nullptr});
}

}  // namespace tersor::cpu
