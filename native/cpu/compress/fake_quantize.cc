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

}  // namespace tersor::cpu
