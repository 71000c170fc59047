#include <algorithm>
#include <numeric>
#include <vector>

#include "cpu/finite.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {

tersor_status block_mask(tersor_context* context, const tersor_tensor* x, int32_t block_rows, int32_t block_cols,
                         int64_t keep, const tersor_tensor* mask) {
  const int64_t rows = rows_of(x), columns = columns_of(x);
  const int64_t down = (rows + block_rows - 1) / block_rows, across = (columns + block_cols - 1) / block_cols;
  const auto* px = data_of<const float>(x);
  auto* py = data_of<float>(mask);
  if (const int64_t bad = first_non_finite(px, rows * columns); bad >= 0) {
    return fail(context, TERSOR_NOT_FINITE, "expected finite numbers, got %g, at x[%lld, %lld]",
                static_cast<double>(px[bad]), static_cast<long long>(bad / columns),
                static_cast<long long>(bad % columns));
  }
  if (keep < 0 || keep > down * across) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected a number of blocks in [0, %lld], got %lld",
                static_cast<long long>(down * across), static_cast<long long>(keep));
  }
  // Squared Frobenius norms; f64 holds the square of any f32.
  std::vector<double> norms(static_cast<size_t>(down * across));
  const tersor_status status =
      for_chunks(context, down, row_grain(block_rows * columns), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin * block_rows; row < std::min(rows, end * block_rows); ++row) {
          double* to = norms.data() + row / block_rows * across;
          for (int64_t c = 0; c < columns; ++c)
            to[c / block_cols] += double{px[row * columns + c]} * double{px[row * columns + c]};
        }
      });
  if (status != TERSOR_OK) return status;
  std::vector<int64_t> order(norms.size());
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](int64_t a, int64_t b) {
    const double left = norms[static_cast<size_t>(a)], right = norms[static_cast<size_t>(b)];
    return left != right ? left > right : a < b;
  };
  std::nth_element(order.begin(), order.begin() + keep, order.end(), before);
  std::fill(py, py + rows * columns, 0.0f);
  for (int64_t i = 0; i < keep; ++i) {
    const int64_t block = order[static_cast<size_t>(i)], row = block / across * block_rows;
    const int64_t column = block % across * block_cols, width = std::min<int64_t>(block_cols, columns - column);
    for (int64_t r = row; r < std::min(rows, row + block_rows); ++r) {
      std::fill_n(py + r * columns + column, width, 1.0f);
    }
  }
  return TERSOR_OK;
}

}  // namespace tersor::cpu
