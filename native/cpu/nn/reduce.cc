#include <type_traits>

#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/reduction.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

template <typename Op>
tersor_status reduce_all(tersor_context* context, const float* x, int64_t count, float* y) {
  typename Op::Accumulator result;
  const tersor_status status = fold_chunks(
      context, count, kGrain, Op::identity, Op::combine,
      [x](int64_t begin, int64_t end) { return reduce_span<Op>(x + begin, end - begin); }, &result);
  if (status == TERSOR_OK) *y = static_cast<float>(result);
  return status;
}

template <typename Op>
tersor_status reduce_columns(tersor_context* context, const float* x, int64_t rows, int64_t columns, float* y) {
  return for_chunks(context, rows, row_grain(columns), [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      y[row] = static_cast<float>(reduce_span<Op>(x + row * columns, columns));
    }
  });
}

// Each chunk owns a block of columns and walks all rows, so that every column is summed in row order.
template <typename Op>
tersor_status reduce_rows(tersor_context* context, const float* x, int64_t rows, int64_t columns, float* y) {
  constexpr int64_t kWidth = 64;
  const int64_t blocks = (columns + kWidth - 1) / kWidth;
  const int64_t grain = row_grain(rows * kWidth);
  return for_chunks(context, blocks, grain, [=](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kWidth, width = std::min(kWidth, columns - first);
      typename Op::Accumulator total[kWidth];
      for (auto& t : total) t = Op::identity;
      for (int64_t row = 0; row < rows; ++row) {
        const float* from = x + row * columns + first;
        for (int64_t j = 0; j < width; ++j) total[j] = Op::combine(total[j], from[j]);
      }
      for (int64_t j = 0; j < width; ++j) y[first + j] = static_cast<float>(total[j]);
    }
  });
}

template <typename Op>
tersor_status reduce_with(tersor_context* context, const tersor_tensor* x, int32_t axis, const tersor_tensor* y) {
  const auto* px = data_of<const float>(x);
  auto* py = data_of<float>(y);
  const int64_t rows = rows_of(x), columns = columns_of(x);
  // A vector has one dimension, which axis 0 and axis -1 both reduce.
  const bool all = axis == -1 || x->rank < 2;
  const int64_t reduced = all ? rows * columns : axis == 0 ? rows : columns;
  if (reduced == 0 && elements_of(y) > 0 && !std::is_same_v<Op, Sum>) {
    return fail(context, TERSOR_INVALID_SHAPE,
                "expected at least one element to take the minimum or maximum of, got 0");
  }
  if (all) return reduce_all<Op>(context, px, rows * columns, py);
  if (axis == 1) return reduce_columns<Op>(context, px, rows, columns, py);
  return reduce_rows<Op>(context, px, rows, columns, py);
}

}  // namespace

tersor_status reduce(tersor_context* context, tersor_reduce_op op, const tersor_tensor* x, int32_t axis,
                     const tersor_tensor* y) {
  if (axis < -1 || axis >= x->rank) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected an axis in [-1, %d), got %d", x->rank, axis);
  }
  switch (op) {
    case TERSOR_SUM:
      return reduce_with<Sum>(context, x, axis, y);
    case TERSOR_MIN:
      return reduce_with<Minimum>(context, x, axis, y);
    case TERSOR_MAX:
      return reduce_with<Maximum>(context, x, axis, y);
  }
  return fail(context, TERSOR_INVALID_ARGUMENT, "expected a reduction in [0, 2], got %d", static_cast<int>(op));
}

}  // namespace tersor::cpu
