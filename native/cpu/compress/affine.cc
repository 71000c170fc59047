#include "cpu/compress/affine.h"

#include "cpu/finite.h"

namespace tersor::cpu {
namespace {

bool in_code_range(int64_t code) { return code >= -kLargestCode && code <= kLargestCode; }

}  // namespace

bool AffineGroups::load(int64_t row, int64_t group, FirstPlace& bad, AffineGroup* out) const {
  const int64_t at = shared_ ? group : row * groups_ + group;
  const float scale = data_of<const float>(affine_->scales)[at];
  const float bias = affine_->biases == nullptr ? 0.0f : data_of<const float>(affine_->biases)[at];
  const int32_t zero_point = affine_->zero_points == nullptr ? 0 : data_of<const int32_t>(affine_->zero_points)[at];
  if (!(scale > 0.0f) || !is_finite(scale) || !is_finite(bias) || !in_code_range(zero_point)) {
    bad.report(at);
    return false;
  }
  *out = {scale, bias, static_cast<float>(affine_->code_min - zero_point),
          static_cast<float>(affine_->code_max - zero_point), zero_point};
  return true;
}

tersor_status AffineGroups::explain(tersor_context* context, const FirstPlace& bad) const {
  const int64_t at = bad.place();
  const auto row = static_cast<long long>(at / groups_), group = static_cast<long long>(at % groups_);
  const float scale = data_of<const float>(affine_->scales)[at];
  if (!(scale > 0.0f) || !is_finite(scale)) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected a finite scale > 0, got %g, at scales[%lld, %lld]",
                static_cast<double>(scale), row, group);
  }
  if (affine_->biases != nullptr && !is_finite(data_of<const float>(affine_->biases)[at])) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected a finite bias, got %g, at biases[%lld, %lld]",
                static_cast<double>(data_of<const float>(affine_->biases)[at]), row, group);
  }
  return fail(context, TERSOR_INVALID_ARGUMENT, "expected a zero point within +-%d, got %d, at zero_points[%lld, %lld]",
              kLargestCode, data_of<const int32_t>(affine_->zero_points)[at], row, group);
}

tersor_status check_affine(tersor_context* context, const tersor_affine* affine, int64_t rows, int64_t columns) {
  if (affine->group_size < 1) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected a group size >= 1, got %lld",
                static_cast<long long>(affine->group_size));
  }
  if (!in_code_range(affine->code_min) || !in_code_range(affine->code_max) || affine->code_min > affine->code_max) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected code_min <= code_max within +-%d, got [%d, %d]",
                kLargestCode, affine->code_min, affine->code_max);
  }
  const int64_t groups = columns == 0 ? 0 : (columns - 1) / affine->group_size + 1;
  for (const tersor_tensor* parameter : {affine->scales, affine->zero_points, affine->biases}) {
    if (parameter == nullptr || rows * columns == 0) continue;
    const int64_t parameter_rows = rows_of(parameter), parameter_groups = columns_of(parameter);
    if (parameter_groups != groups || (parameter_rows != 1 && parameter_rows != rows) ||
        parameter_rows != rows_of(affine->scales)) {
      return fail(context, TERSOR_INVALID_SHAPE,
                  "expected quantization parameters [%lld or 1, %lld], alike in shape, got [%lld, %lld]",
                  static_cast<long long>(rows), static_cast<long long>(groups), static_cast<long long>(parameter_rows),
                  static_cast<long long>(parameter_groups));
    }
  }
  return TERSOR_OK;
}

}  // namespace tersor::cpu
