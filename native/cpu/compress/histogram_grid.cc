#include "cpu/compress/histogram_grid.h"

#include <algorithm>
#include <cmath>

#include "backend/fail.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

constexpr int kSmallestExponent = -126;  // whose inverse is a number of f32

int64_t place_of(float value, int exponent) {
  return static_cast<int64_t>(std::floor(std::ldexp(static_cast<double>(value), -exponent)));
}

}  // namespace

GridOfRange grid_of(Range range) {
  const double width = (static_cast<double>(range.high) - static_cast<double>(range.low)) / double{TERSOR_HISTOGRAM_BINS};
  int exponent = width > 0 ? std::max(kSmallestExponent, std::ilogb(width)) : kSmallestExponent;
  while (place_of(range.high, exponent) - place_of(range.low, exponent) >= TERSOR_HISTOGRAM_BINS) ++exponent;
  return {{exponent, place_of(range.low, exponent)}, place_of(range.high, exponent)};
}

tersor_status expect_histogram(tersor_context* context, const tersor_histogram* histogram) {
  const Range range = range_of(histogram);
  const auto* grid = data_of<const int32_t>(&histogram->grid);
  if (!std::isfinite(range.low) || !std::isfinite(range.high) || range.low > 0 || range.high < 0) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected the range of a histogram, with 0, got [%g, %g]",
                static_cast<double>(range.low), static_cast<double>(range.high));
  }
  const Grid expected = grid_of(range).grid;
  if (grid[0] != expected.exponent || grid[1] != expected.first) {
    return fail(context, TERSOR_INVALID_ARGUMENT,
                "expected bins of 2^%d from %lld on for [%g, %g], got 2^%d from %d on", expected.exponent,
                static_cast<long long>(expected.first), static_cast<double>(range.low), static_cast<double>(range.high),
                grid[0], grid[1]);
  }
  constexpr int64_t kMost = int64_t{1} << 53;  // exact in double
  const auto* counts = data_of<const int64_t>(&histogram->counts);
  int64_t total = 0;
  for (int64_t i = 0; i < TERSOR_HISTOGRAM_BINS; ++i) {
    if (counts[i] < 0 || counts[i] > kMost - total) {
      return fail(context, TERSOR_INVALID_ARGUMENT,
                  "expected counts >= 0 of at most 2^53 in all, got %lld, at bin %lld",
                  static_cast<long long>(counts[i]), static_cast<long long>(i));
    }
    total += counts[i];
  }
  if (total > 0) return TERSOR_OK;
  return fail(context, TERSOR_INVALID_ARGUMENT, "expected a histogram of at least one value, got none");
}

}  // namespace tersor::cpu
