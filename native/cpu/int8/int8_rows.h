// Rows of x as u8 codes in working memory, a scale and a zero point with each.
#pragma once

#include "cpu/int8/gemm_int8.h"
#include "cpu/parallel.h"

namespace tersor::cpu {

// Codes are kept by panels of columns, so that the rows of a panel are neighbours in memory.
inline constexpr int64_t kInt8PanelSteps = 128, kInt8PanelColumns = kInt8PanelSteps * kInt8Depth;

class Int8Rows {
 public:
  // Working memory for up to `rows` rows of x [m, columns]; valid until the calling thread asks for other scratch.
  tersor_status allocate(tersor_context* context, const Int8Input& x, int64_t columns, int64_t rows);

  // Rows [row, row + rows) of x. Static quantization reports the place of a NaN or infinity to `bad`; with dynamic
  // quantization such a row gets codes of 0 and a scale of NaN.
  tersor_status fill(tersor_context* context, int64_t row, int64_t rows, FirstPlace& bad);

  // Columns [column, column + kInt8PanelColumns) of row i; `column` begins a panel.
  const uint8_t* codes(int64_t column, int64_t i) const {
    return codes_ + column / kInt8PanelColumns * panel_bytes_ + i * stride_;
  }
  int64_t stride() const { return stride_; }
  const float* scales() const { return scales_; }
  const int32_t* zero_points() const { return zero_points_; }

 private:
  void code(int64_t row, int64_t i, FirstPlace& bad);
  // Parameters of row i from its range; false when it has none.
  bool choose(const float* x, int64_t i);

  const Int8Input* x_ = nullptr;
  int64_t columns_ = 0, stride_ = 0, panel_bytes_ = 0;
  uint8_t* codes_ = nullptr;
  float* scales_ = nullptr;
  int32_t* zero_points_ = nullptr;
};

}  // namespace tersor::cpu
