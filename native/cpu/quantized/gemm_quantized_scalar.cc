#include "cpu/quantized/gemm_quantized_tile.h"

namespace tersor::cpu {
namespace {

// A column at a time.
struct OneColumn {
  using Register = float;
  static constexpr int kWidth = 1, kFound = 1;
  static float load(const float* p) { return *p; }
  static void store(float* p, float v) { *p = v; }
  static float multiply(float a, float b) { return a * b; }
  static uint32_t load_lanes(const uint32_t* p) { return *p; }
  static uint32_t shift_right(uint32_t v, int bits) { return v >> bits; }
  static uint32_t masked(uint32_t v, uint32_t mask) { return v & mask; }
  static uint32_t either(uint32_t a, uint32_t b) { return a | b; }
  static const float* table(const float* values) { return values; }
  static void look_up(const float* table, uint32_t lanes, float* found) { *found = table[lanes % kCodebookSize]; }
};

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
