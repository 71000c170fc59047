// The one rounding rule of affine quantization. Everything that quantizes, dequantizes or pretends to goes through
// here, so that what is trained and what is packed are the same numbers.
//
//   step = round_half_even(clamp((x - bias) / scale, lower, upper))    code = step + zero_point    x^ = scale * step +
//   bias
//
// lower and upper are the code range less the zero point. Clamping to integers before rounding gives what rounding
// first would, and keeps the rounding trick in its range.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {

// Codes and zero points lie within +-2^20, where the steps between them are exact in float.
inline constexpr int32_t kLargestCode = 1 << 20;

// Half to even for |v| <= 2^22: the sum has no bits left below one.
inline float round_half_even(float v) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23
  return (v + kRound) - kRound;
}

// Parameters of one group of columns of one row.
struct AffineGroup {
  float scale, bias, lower, upper;
  int32_t zero_point;

  // A division, not a product with 1 / scale: ties must fall where numpy and PyTorch have them.
  float position(float x) const { return (x - bias) / scale; }

  float step(float x) const {
    const float v = position(x);
    const float above = v < lower ? lower : v;
    return round_half_even(above > upper ? upper : above);
  }

  float value(float step) const { return scale * step + bias; }

  // True where the code of x needs no clamping.
  bool represents(float x) const {
    const float v = position(x);
    const float above = v < lower - 1.0f ? lower - 1.0f : v;
    const float rounded = round_half_even(above > upper + 1.0f ? upper + 1.0f : above);
    return rounded >= lower && rounded <= upper;
  }
};

// The groups of a matrix. Parameters are checked where they are used, since a gather uses few rows of many.
class AffineGroups {
 public:
  AffineGroups(const tersor_affine* affine, int64_t columns)
      : affine_(affine),
        columns_(columns),
        groups_(columns_of(affine->scales)),
        shared_(rows_of(affine->scales) == 1) {}

  // Calls body(group, begin, end) for the groups of `row` that cover columns [first, last).
  // A group with unusable parameters is reported to `bad` and left out.
  template <typename Body>
  void for_columns(int64_t row, int64_t first, int64_t last, FirstPlace& bad, Body&& body) const {
    for (int64_t begin = first; begin < last;) {
      const int64_t size = affine_->group_size, group = begin / size, start = group * size;
      const int64_t end = last - start > size ? start + size : last;
      AffineGroup parameters;
      if (load(row, group, bad, &parameters)) body(parameters, begin, end);
      begin = end;
    }
  }

  template <typename Body>
  void for_row(int64_t row, FirstPlace& bad, Body&& body) const {
    for_columns(row, 0, columns_, bad, body);
  }

  // What is wrong with the parameters at the place reported to `bad`.
  tersor_status explain(tersor_context* context, const FirstPlace& bad) const;

 private:
  bool load(int64_t row, int64_t group, FirstPlace& bad, AffineGroup* out) const;

  const tersor_affine* affine_;
  int64_t columns_, groups_;
  bool shared_;
};

// Group size, code range and the parameters' shapes against a matrix of rows x columns.
tersor_status check_affine(tersor_context* context, const tersor_affine* affine, int64_t rows, int64_t columns);

}  // namespace tersor::cpu
