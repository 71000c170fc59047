#include "cpu/finite.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/reduction.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

struct Range {
  float lowest, highest;
};

constexpr Range kEmpty{Minimum::identity, Maximum::identity};

Range combine(Range a, Range b) {
  return {Minimum::combine(a.lowest, b.lowest), Maximum::combine(a.highest, b.highest)};
}

// Range of x[at, at + count); a NaN or infinity is reported by its index.
Range range_of(const float* x, int64_t at, int64_t count, FirstPlace& bad) {
  const int64_t place = first_non_finite(x + at, count);
  if (place >= 0) bad.report(at + place);
  return {reduce_span<Minimum>(x + at, count), reduce_span<Maximum>(x + at, count)};
}

}  // namespace

tersor_status min_max(tersor_context* context, const tersor_tensor* x, int64_t group_size, const tersor_tensor* minimum,
                      const tersor_tensor* maximum) {
  const auto* px = data_of<const float>(x);
  auto* low = data_of<float>(minimum);
  auto* high = data_of<float>(maximum);
  const int64_t rows = rows_of(x), columns = columns_of(x);
  const int64_t results = elements_of(minimum);
  if (group_size < 1) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected a group size >= 1, got %lld",
                static_cast<long long>(group_size));
  }
  if (results == 0) return TERSOR_OK;
  if (rows == 0 || columns == 0) {
    return fail(context, TERSOR_INVALID_SHAPE, "expected at least one element to take the range of, got %lld x %lld",
                static_cast<long long>(rows), static_cast<long long>(columns));
  }

  const int64_t groups = (columns - 1) / group_size + 1;
  const bool per_row = results == rows * groups;
  FirstPlace bad;
  tersor_status status;
  if (results == 1) {
    Range all;
    status = fold_chunks(
        context, rows * columns, kGrain, kEmpty, combine,
        [&](int64_t begin, int64_t end) { return range_of(px, begin, end - begin, bad); }, &all);
    if (status == TERSOR_OK) *low = all.lowest, *high = all.highest;
  } else {
    // Result (r, g) covers one row, or all rows when they share parameters.
    const int64_t rows_each = per_row ? 1 : rows;
    const int64_t grain = std::max<int64_t>(1, kGrain / (rows_each * std::min(group_size, columns)));
    status = for_chunks(context, results, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first_row = i / groups, first = i % groups * group_size;
        const int64_t width = std::min(group_size, columns - first);
        Range range = kEmpty;
        for (int64_t row = first_row; row < first_row + rows_each && !is_cancelled(context); ++row) {
          range = combine(range, range_of(px, row * columns + first, width, bad));
        }
        low[i] = range.lowest, high[i] = range.highest;
      }
    });
    if (status == TERSOR_OK && is_cancelled(context)) status = cancelled(context);
  }
  if (status != TERSOR_OK || !bad.found()) return status;
  const int64_t at = bad.place();
  return fail(context, TERSOR_NOT_FINITE, "expected finite values, got %g, at x[%lld, %lld]",
              static_cast<double>(px[at]), static_cast<long long>(at / columns), static_cast<long long>(at % columns));
}

}  // namespace tersor::cpu
