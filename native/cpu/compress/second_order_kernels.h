// What changes with the instruction set in compression with error feedback (second_order.h). Plain data only, since
// vector files include this.
#pragma once

#include <cstdint>

namespace tersor::cpu {

// Where the parameters of the codes come from.
enum class CodeScales { none, given, symmetric, asymmetric };

// The columns of a weight in the order in which they are compressed, cut into panels of at most `width`.
struct SecondOrderPlan {
  int64_t columns, panels;
  const int64_t* panel_begin;     // [panels + 1]
  const int64_t* factors_offset;  // [panels]
  // Panel p at its offset: [panel end][width], element (k, j) is how much of the error of column k column
  // panel_begin[p] + j takes over; 0 beyond the panel's columns.
  const float* factors;
  const float* pivots;  // [columns]: error of a column as the layer's output feels it, per unit of the column

  CodeScales scales;
  const int32_t* parameter_of;  // [columns]: index of the parameters in RowTile::parameters
  float code_min, code_max;

  int64_t unit;  // columns whose scales or mask are found together, 0 when nothing is to be found
  int64_t keep;  // of the `unit` columns in each row; 0: masks are given or there are none
  bool masked;
};

// Parameters of one group for the rows of a tile, each [lanes]: scale, bias, zero point, then the steps' bounds.
inline constexpr int kLaneParameters = 5;

// Some rows of the weight, as many as a kernel has lanes: all arrays are [...][lanes].
struct RowTile {
  float* values;  // [columns + width]: what is to be compressed; before the block at work, the errors that were made
  float* parameters;  // [groups][kLaneParameters]
  // Of the block at work, [longest block]:
  float* originals;  // its columns before they took anything over
  float* results;    // its columns compressed
  uint8_t* codes;
  uint8_t* kept;  // the mask
  float* scores;
  float* ahead;  // [longest block + width]
  float* ahead_errors;
};

struct SecondOrderKernels {
  int lanes, width;
  // All on panels [first, last) of a plan, which must be cut off by whole units:
  // first, takes over the errors of all earlier columns;
  void (*absorb)(const SecondOrderPlan&, const RowTile&, int64_t first, int64_t last);
  // then, if masks are to be found for several rows at once, writes what removing each element would cost;
  void (*score)(const SecondOrderPlan&, const RowTile&, int64_t first, int64_t last);
  // last, compresses column by column.
  void (*compress)(const SecondOrderPlan&, const RowTile&, int64_t first, int64_t last);
};

using SecondOrderKernel = const SecondOrderKernels&();
SecondOrderKernel second_order_scalar, second_order_avx2, second_order_avx512, second_order_neon;

}  // namespace tersor::cpu
