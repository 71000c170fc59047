#include <cmath>

#include "cpu/nn/softmax_rows.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/reduction.h"
#include "cpu/view.h"

namespace tersor::cpu {
tersor_status distillation(tersor_context* context, const tersor_tensor* student, const tersor_tensor* teacher,
                           float temperature, const tersor_tensor* loss, const tersor_tensor* gradient) {
  const auto* s = data_of<const float>(student);
  const auto* t = data_of<const float>(teacher);
  auto* ds = gradient == nullptr ? nullptr : data_of<float>(gradient);
  const int64_t rows = rows_of(student), columns = columns_of(student);
  if (rows == 0 || columns == 0) {
    return fail(context, TERSOR_INVALID_SHAPE, "expected at least one row and one column of logits, got %lld x %lld",
                static_cast<long long>(rows), static_cast<long long>(columns));
  }
  if (!(temperature > 0.0f) || !std::isfinite(temperature)) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected a finite temperature > 0, got %g",
                static_cast<double>(temperature));
  }

  const auto inverse = static_cast<float>(1.0 / static_cast<double>(temperature));
  const auto factor = static_cast<float>(static_cast<double>(temperature) / static_cast<double>(rows));
  const SoftmaxRows& kernel = softmax_kernels.best()();
  double total = 0.0;
  const tersor_status status = fold_chunks(
      context, rows, row_grain(8 * columns), 0.0, Sum::combine,
      [=](int64_t begin, int64_t end) {
        double sum = 0.0;
        for (int64_t row = begin; row < end; ++row) {
          const int64_t at = row * columns;
          sum += kernel.divergence(s + at, t + at, columns, inverse, factor, ds == nullptr ? nullptr : ds + at);
        }
        return sum;
      },
      &total);
  if (status != TERSOR_OK) return status;
  const auto tau = static_cast<double>(temperature);
  *data_of<float>(loss) = static_cast<float>(tau * tau * total / static_cast<double>(rows));
  return TERSOR_OK;
}

}  // namespace tersor::cpu
