// Where the bins of a histogram lie.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "cpu/compress/encode.h"

namespace tersor::cpu {

// Bins of width 2^exponent; the first holds [first * 2^exponent, (first + 1) * 2^exponent).
struct Grid {
  int exponent;
  int64_t first;
};

// The narrowest bins that hold a range, which contains 0, and the number of the last one that they need.
struct GridOfRange {
  Grid grid;
  int64_t last;
};

GridOfRange grid_of(Range range);

// A histogram may come from a file: fails unless its grid is that of its range, and its counts are counts.
tersor_status expect_histogram(tersor_context* context, const tersor_histogram* histogram);

inline Range range_of(const tersor_histogram* histogram) {
  const auto* range = static_cast<const float*>(histogram->range.data);
  return {range[0], range[1], true};
}

}  // namespace tersor::cpu
