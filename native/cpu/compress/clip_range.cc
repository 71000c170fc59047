#include <array>
#include <cmath>

#include "cpu/compress/affine.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

// Shares of the full range that are tried: 1, 63/64, ... down to a quarter, below which no distribution of weights
// gains.
constexpr int kShares = 49;
float share_of(int i) { return static_cast<float>(64 - i) / 64; }

using Errors = std::array<double, kShares>;

Errors add(Errors a, const Errors& b) {
  for (int i = 0; i < kShares; ++i) a[static_cast<size_t>(i)] += b[static_cast<size_t>(i)];
  return a;
}

// The codes of a range, as steps around zero.
struct Steps {
  float scale, inverse, lower, upper;
};

Steps steps_of(float low, float high, float share, float levels, bool symmetric) {
  const float half = (symmetric ? std::max(-low, high) : high / 2 - low / 2) * share;
  const float scale = half / (levels / 2);
  if (!(scale >= 0x1p-126f)) return {1, 1, 0, 0};
  const float zero = symmetric ? std::ceil(levels / 2) : std::min(round_half_even(-low * share / scale), levels);
  return {scale, 1 / scale, -zero, levels - zero};
}

// Sum of squared errors; a product with 1 / scale will do to choose by.
double error_of(const float* x, int64_t count, const Steps& steps) {
  constexpr int64_t kLanes = 16;
  float lane[kLanes] = {};
  const auto squared = [&](float v) {
    const float position = v * steps.inverse;
    const float above = position < steps.lower ? steps.lower : position;
    const float error = steps.scale * round_half_even(above > steps.upper ? steps.upper : above) - v;
    return error * error;
  };
  double total = 0;
  constexpr int64_t kSpan = 4096;  // summed in float at most
  for (int64_t begin = 0; begin < count; begin += kSpan) {
    const int64_t end = std::min(count, begin + kSpan);
    for (float& sum : lane) sum = 0;
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      for (int64_t j = 0; j < kLanes; ++j) lane[j] += squared(x[i + j]);
    }
    for (; i < end; ++i) lane[0] += squared(x[i]);
    for (const float sum : lane) total += static_cast<double>(sum);
  }
  return total;
}

}  // namespace

tersor_status clip_range(tersor_context* context, const tersor_tensor* x, int64_t group_size, int32_t levels,
                         int32_t symmetric, const tersor_tensor* minimum, const tersor_tensor* maximum) {
  if (levels < 1 || levels > 255) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected 1 to 255 levels, got %d", levels);
  }
  if (const tersor_status status = min_max(context, x, group_size, minimum, maximum); status != TERSOR_OK) {
    return status;
  }
  const auto* px = data_of<const float>(x);
  auto* low = data_of<float>(minimum);
  auto* high = data_of<float>(maximum);
  const int64_t rows = rows_of(x), columns = columns_of(x), results = elements_of(minimum);
  if (results == 0) return TERSOR_OK;
  const int64_t groups = (columns - 1) / group_size + 1;

  // Errors of every share for x[row, first...] of `count` columns under the range of result i.
  const auto errors_of = [&](int64_t i, int64_t at, int64_t count) {
    Errors errors;
    for (int share = 0; share < kShares; ++share) {
      const Steps steps = steps_of(std::min(low[i], 0.0f), std::max(high[i], 0.0f), share_of(share),
                                   static_cast<float>(levels), symmetric != 0);
      errors[static_cast<size_t>(share)] = error_of(px + at, count, steps);
    }
    return errors;
  };
  // The widest of equally good ranges.
  const auto narrow = [&](int64_t i, const Errors& errors) {
    const auto best = static_cast<int>(std::min_element(errors.begin(), errors.end()) - errors.begin());
    const float from = std::min(low[i], 0.0f), to = std::max(high[i], 0.0f), largest = std::max(-from, to);
    low[i] = share_of(best) * (symmetric != 0 ? -largest : from);
    high[i] = share_of(best) * (symmetric != 0 ? largest : to);
  };

  constexpr int64_t kElementsPerChunk = int64_t{1} << 12;
  if (results == 1) {
    Errors errors{};
    const tersor_status status = fold_chunks(
        context, rows * columns, kElementsPerChunk, Errors{}, add,
        [&](int64_t begin, int64_t end) { return errors_of(0, begin, end - begin); }, &errors);
    if (status == TERSOR_OK) narrow(0, errors);
    return status;
  }
  const int64_t rows_each = results == rows * groups ? 1 : rows;
  const int64_t grain = std::max<int64_t>(1, kElementsPerChunk / (rows_each * std::min(group_size, columns)));
  const tersor_status status = for_chunks(context, results, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first_row = i / groups, first = i % groups * group_size;
      Errors errors{};
      for (int64_t row = first_row; row < first_row + rows_each && !is_cancelled(context); ++row) {
        errors = add(errors, errors_of(i, row * columns + first, std::min(group_size, columns - first)));
      }
      narrow(i, errors);
    }
  });
  return status == TERSOR_OK && is_cancelled(context) ? cancelled(context) : status;
}

}  // namespace tersor::cpu
