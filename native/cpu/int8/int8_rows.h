// Rows of x as 8-bit codes: one at a time, or many in working memory, a scale and a zero point with each.
#pragma once

#include "cpu/int8/gemm_int8.h"
#include "cpu/parallel.h"

namespace tersor::cpu {

// Steps of a panel: 32 columns of the weight stay in the first cache while all rows of a pass go by. Depths that fit
// whole get one panel, and no sums on the way.
inline constexpr int64_t kMostPanelSteps = 256;
inline int64_t panel_steps(int64_t steps) { return steps <= kMostPanelSteps ? kMostPanelSteps : 128; }

// What the codes of one row stand for. Those of a blank row, which holds NaN or infinity, are 0 and its scale is NaN.
struct RowCodes {
  float scale;
  int32_t zero_point;
  bool blank;
};

// Codes parts of rows of x [m, columns], as u8 or, when is_signed, as i8 that are 128 less, like their zero points.
class Int8Coder {
 public:
  Int8Coder(const Int8Input& x, int64_t columns, bool is_signed = false)
      : x_(x), columns_(columns), is_signed_(is_signed) {}

  // Of dynamic quantization from the row's range; only there rows can be blank.
  RowCodes codes_of(int64_t row) const;
  // Columns [column, column + count) of the row. Static quantization reports the place of a NaN or infinity to `bad`.
  void code(const RowCodes& codes, int64_t row, int64_t column, int64_t count, uint8_t* to, FirstPlace& bad) const;

 private:
  const Int8Input& x_;
  const int64_t columns_;
  const bool is_signed_;
};

// Codes are kept by panels of columns, so that the rows of a panel are neighbours in memory.
class Int8Rows {
 public:
  // Working memory for up to `rows` rows of x [m, columns], in panels of `panel_columns`, a multiple of kInt8Depth;
  // valid until the calling thread asks for other scratch.
  tersor_status allocate(tersor_context* context, const Int8Input& x, int64_t columns, int64_t rows,
                         int64_t panel_columns, bool is_signed);

  // Rows [row, row + rows) of x, as Int8Coder codes them.
  tersor_status fill(tersor_context* context, int64_t row, int64_t rows, FirstPlace& bad);

  // Of row i from `column` on, which begins a panel.
  const uint8_t* codes(int64_t column, int64_t i) const {
    return codes_ + column / panel_columns_ * panel_bytes_ + i * stride_;
  }
  int64_t stride() const { return stride_; }
  const float* scales() const { return scales_; }
  const int32_t* zero_points() const { return zero_points_; }

 private:
  const Int8Input* x_ = nullptr;
  int64_t columns_ = 0, panel_columns_ = 1, stride_ = 0, panel_bytes_ = 0;
  bool is_signed_ = false;
  bool in_place_ = false;  // x has codes that can be read where they are
  const uint8_t* codes_ = nullptr;
  uint8_t* copies_ = nullptr;
  float* scales_ = nullptr;
  int32_t* zero_points_ = nullptr;
};

}  // namespace tersor::cpu
