#include <algorithm>
#include <cmath>

#include "cpu/compress/affine.h"
#include "cpu/finite.h"
#include "cpu/map.h"
#include "cpu/operations.h"

namespace tersor::cpu {

tersor_status fake_quantize(tersor_context* context, const tersor_tensor* x, const tersor_affine* affine,
                            const tersor_tensor* y) {
  const auto* px = data_of<const float>(x);
  auto* py = data_of<float>(y);
  const int64_t rows = rows_of(x), columns = columns_of(x);
  if (const tersor_status status = check_affine(context, affine, rows, columns); status != TERSOR_OK) return status;
  const AffineGroups groups(affine, columns);
  FirstPlace bad_parameter, bad_value;
  const tersor_status status = for_chunks(context, rows, row_grain(columns), [&](int64_t row_begin, int64_t row_end) {
    for (int64_t row = row_begin; row < row_end; ++row) {
      groups.for_row(row, bad_parameter, [&](const AffineGroup& group, int64_t begin, int64_t end) {
        const int64_t at = row * columns + begin;
        const int64_t bad = first_non_finite(px + at, end - begin);
        // Left as it is, so that an update in place still shows what was wrong.
        if (bad >= 0) return bad_value.report(at + bad);
        map(
            end - begin, py + at, [group](float v) { return group.value(group.step(v)); }, px + at);
      });
    }
  });
  if (status != TERSOR_OK) return status;
  if (bad_parameter.found()) return groups.explain(context, bad_parameter);
  if (!bad_value.found()) return TERSOR_OK;
  const int64_t at = bad_value.place();
  return fail(context, TERSOR_NOT_FINITE, "expected finite values, got %g, at x[%lld, %lld]",
              static_cast<double>(px[at]), static_cast<long long>(at / columns), static_cast<long long>(at % columns));
}

// "Inside" is decided on the rounded code, as the forward pass clamps it: deciding on x / scale would drop the very
// weight that set the scale whenever absmax / (absmax / 127) rounds above 127.
tersor_status fake_quantize_gradient(tersor_context* context, const tersor_tensor* x, const tersor_affine* affine,
                                     const tersor_tensor* dy, const tersor_tensor* dx) {
  const auto* px = data_of<const float>(x);
  const auto* pdy = data_of<const float>(dy);
  auto* pdx = data_of<float>(dx);
  const int64_t rows = rows_of(x), columns = columns_of(x);
  if (const tersor_status status = check_affine(context, affine, rows, columns); status != TERSOR_OK) return status;
  const AffineGroups groups(affine, columns);
  FirstPlace bad_parameter;
  const tersor_status status = for_chunks(context, rows, row_grain(columns), [&](int64_t row_begin, int64_t row_end) {
    for (int64_t row = row_begin; row < row_end; ++row) {
      groups.for_row(row, bad_parameter, [&](const AffineGroup& group, int64_t begin, int64_t end) {
        const int64_t at = row * columns + begin;
        map(
            end - begin, pdx + at, [group](float v, float slope) { return group.represents(v) ? slope : 0.0f; },
            px + at, pdy + at);
      });
    }
  });
  if (status != TERSOR_OK) return status;
  return bad_parameter.found() ? groups.explain(context, bad_parameter) : TERSOR_OK;
}

// A group's share of the gradient, added up in double.
tersor_status lsq_gradient(tersor_context* context, const tersor_tensor* x, const tersor_affine* affine,
                           const tersor_tensor* dy, const tersor_tensor* dscales) {
  const auto* px = data_of<const float>(x);
  const auto* pdy = data_of<const float>(dy);
  auto* out = data_of<float>(dscales);
  const int64_t rows = rows_of(x), columns = columns_of(x), results = elements_of(dscales);
  if (const tersor_status status = check_affine(context, affine, rows, columns); status != TERSOR_OK) return status;
  if (rows * columns == 0) {
    std::fill(out, out + results, 0.0f);
    return TERSOR_OK;
  }
  const AffineGroups groups(affine, columns);
  FirstPlace bad_parameter;
  const int64_t group_columns = std::min(affine->group_size, columns), group_count = columns_of(affine->scales);
  const bool shared = rows_of(affine->scales) == 1;
  // Sum over columns [first, last) of one row, all in one group.
  const auto sum_of = [&](int64_t row, int64_t first, int64_t last) {
    double sum = 0;
    groups.for_columns(row, first, last, bad_parameter, [&](const AffineGroup& group, int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) {
        const float v = px[row * columns + j];
        const float slope = group.represents(v) ? group.step(v) - group.position(v) : group.step(v);
        sum += static_cast<double>(slope) * static_cast<double>(pdy[row * columns + j]);
      }
    });
    return sum;
  };
  const auto finish = [&](int64_t result, double sum) {
    const int64_t first = result % group_count * group_columns, width = std::min(group_columns, columns - first);
    const int32_t zero_point = affine->zero_points == nullptr ? 0 : data_of<const int32_t>(affine->zero_points)[result];
    const double largest = std::max(affine->code_max - zero_point, 1);
    const auto count = static_cast<double>(width * (shared ? rows : 1));
    out[result] = static_cast<float>(sum / std::sqrt(count * largest));
  };
  tersor_status status;
  if (results == 1) {
    double sum = 0;
    status = fold_chunks(
        context, rows, row_grain(columns), 0.0, [](double a, double b) { return a + b; },
        [&](int64_t begin, int64_t end) {
          double part = 0;
          for (int64_t row = begin; row < end; ++row) part += sum_of(row, 0, columns);
          return part;
        },
        &sum);
    if (status == TERSOR_OK) finish(0, sum);
  } else {
    const int64_t rows_each = shared ? rows : 1;
    status = for_chunks(context, results, row_grain(rows_each * group_columns), [&](int64_t begin, int64_t end) {
      for (int64_t result = begin; result < end; ++result) {
        const int64_t first = result % group_count * group_columns, first_row = shared ? 0 : result / group_count;
        double sum = 0;
        for (int64_t row = first_row; row < first_row + rows_each && !is_cancelled(context); ++row) {
          sum += sum_of(row, first, std::min(first + group_columns, columns));
        }
        finish(result, sum);
      }
    });
    if (status == TERSOR_OK && is_cancelled(context)) status = cancelled(context);
  }
  if (status != TERSOR_OK) return status;
  return bad_parameter.found() ? groups.explain(context, bad_parameter) : TERSOR_OK;
}

}  // namespace tersor::cpu
