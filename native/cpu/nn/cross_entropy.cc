#include "cpu/nn/softmax_rows.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/reduction.h"
#include "cpu/view.h"

namespace tersor::cpu {

tersor_status cross_entropy(tersor_context* context, const tersor_tensor* logits, const tersor_tensor* labels,
                            const tersor_tensor* loss, const tersor_tensor* gradient) {
  const auto* z = data_of<const float>(logits);
  const auto* label = data_of<const int32_t>(labels);
  auto* dz = gradient == nullptr ? nullptr : data_of<float>(gradient);
  const int64_t rows = rows_of(logits), columns = columns_of(logits);
  if (rows == 0) return fail(context, TERSOR_INVALID_SHAPE, "expected at least one row of logits, got 0");
  for (int64_t row = 0; row < rows; ++row) {
    if (label[row] < 0 || label[row] >= columns) {
      return fail(context, TERSOR_OUT_OF_RANGE, "expected 0 <= label < %lld, got %d, at row %lld",
                  static_cast<long long>(columns), label[row], static_cast<long long>(row));
    }
  }

  const SoftmaxRows& kernel = softmax_kernels.best()();
  const auto factor = static_cast<float>(1.0 / static_cast<double>(rows));
  double total = 0.0;
  const tersor_status status = fold_chunks(
      context, rows, row_grain(4 * columns), 0.0, Sum::combine,
      [=](int64_t begin, int64_t end) {
        double sum = 0.0;
        for (int64_t row = begin; row < end; ++row) {
          const int64_t at = row * columns;
          sum += kernel.cross_entropy(z + at, columns, label[row], factor, dz == nullptr ? nullptr : dz + at);
        }
        return sum;
      },
      &total);
  if (status == TERSOR_OK) *data_of<float>(loss) = static_cast<float>(total / static_cast<double>(rows));
  return status;
}

}  // namespace tersor::cpu
