#include "cpu/compress/histogram.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>

#include "cpu/compress/encode.h"
#include "cpu/compress/histogram_grid.h"
#include "cpu/finite.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<HistogramKernel> histogram_kernels("histogram", {
#if TERSOR_X86
  {"histogram_avx512", Isa::avx512, histogram_avx512}, {"histogram_avx2", Isa::avx2, histogram_avx2},
#endif
      {"histogram_scalar", Isa::scalar, histogram_scalar},
});

namespace {

constexpr int64_t kBins = TERSOR_HISTOGRAM_BINS;

// The counts of one grid on another as wide or wider, whose bins they fill up.
std::array<int64_t, kBins> widened(const int64_t* counts, Grid from, Grid to) {
  std::array<int64_t, kBins> wider{};
  // From 2^13 on every bin falls into the one left or right of 0. A shift rounds down.
  const int doublings = std::min(to.exponent - from.exponent, 13);
  for (int64_t i = 0; i < kBins; ++i) {
    if (counts[i] > 0) wider[static_cast<size_t>(((from.first + i) >> doublings) - to.first)] += counts[i];
  }
  return wider;
}

Range join(Range a, Range b) { return {std::min(a.low, b.low), std::max(a.high, b.high), a.finite && b.finite}; }

// Counts of x on a grid that holds all of it.
tersor_status count(HistogramKernel* kernel, tersor_context* context, const float* x, int64_t size, Grid grid,
                    int64_t* counts) {
  std::mutex adding;
  return for_chunks(context, size, kHistogramSpan, [&](int64_t begin, int64_t end) {
    alignas(64) uint16_t partial[kHistogramParts][kBins] = {};
    kernel(x + begin, end - begin, std::ldexp(1.0f, -grid.exponent), static_cast<int32_t>(grid.first), partial);
    const std::lock_guard<std::mutex> lock(adding);
    for (int64_t i = 0; i < kBins; ++i) {
      for (const auto& part : partial) counts[i] += part[i];
    }
  });
}

}  // namespace

tersor_status histogram_add_by(HistogramKernel* kernel, tersor_context* context, const tersor_tensor* x,
                               const tersor_histogram* histogram) {
  const auto* px = data_of<const float>(x);
  const int64_t size = elements_of(x), columns = columns_of(x);
  if (size == 0) return fail(context, TERSOR_INVALID_SHAPE, "expected at least one value to count, got none");
  FirstPlace bad;
  RangeKernel* const find_range = range_kernels.best();
  Range range{};
  const tersor_status ranged = fold_chunks(
      context, size, kGrain, Range{0, 0, true}, join,
      [&](int64_t begin, int64_t end) {
        const Range own = find_range(px + begin, end - begin);
        if (!own.finite) bad.report(begin + first_non_finite(px + begin, end - begin));
        return own;
      },
      &range);
  if (ranged != TERSOR_OK) return ranged;
  if (bad.found()) {
    return fail(context, TERSOR_NOT_FINITE, "expected finite values, got %g, at x[%lld, %lld]",
                static_cast<double>(px[bad.place()]), static_cast<long long>(bad.place() / columns),
                static_cast<long long>(bad.place() % columns));
  }

  // A cancelled call leaves the histogram as it was: it is changed at the end.
  std::array<int64_t, kBins> counts{};
  auto* seen = data_of<float>(&histogram->range);
  auto* old_grid = data_of<int32_t>(&histogram->grid);
  auto* old_counts = data_of<int64_t>(&histogram->counts);
  const bool empty = std::isnan(seen[0]);
  if (!empty) {
    if (const tersor_status status = expect_histogram(context, histogram); status != TERSOR_OK) return status;
    range = join(range, range_of(histogram));
  }
  const Grid grid = grid_of(range).grid;
  if (!empty) counts = widened(old_counts, {old_grid[0], old_grid[1]}, grid);
  const tersor_status counted = count(kernel, context, px, size, grid, counts.data());
  if (counted != TERSOR_OK) return counted;
  std::copy(counts.begin(), counts.end(), old_counts);
  old_grid[0] = grid.exponent, old_grid[1] = static_cast<int32_t>(grid.first);
  seen[0] = range.low, seen[1] = range.high;
  return TERSOR_OK;
}

tersor_status histogram_add(tersor_context* context, const tersor_tensor* x, const tersor_histogram* histogram) {
  return histogram_add_by(histogram_kernels.best(), context, x, histogram);
}

}  // namespace tersor::cpu
