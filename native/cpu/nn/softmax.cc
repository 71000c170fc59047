#include "cpu/map.h"
#include "cpu/nn/exponential.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/reduction.h"
#include "cpu/view.h"

namespace tersor::cpu {

tersor_status softmax(tersor_context* context, const tersor_tensor* x, const tersor_tensor* y) {
  const auto* px = data_of<const float>(x);
  auto* py = data_of<float>(y);
  const int64_t columns = columns_of(x);
  return for_chunks(context, rows_of(x), row_grain(4 * columns), [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* from = px + row * columns;
      float* to = py + row * columns;
      const float largest = reduce_span<Maximum>(from, columns);
      map(
          columns, to, [largest](float v) { return exp_of_nonpositive(v - largest); }, from);
      const auto factor = static_cast<float>(1.0 / reduce_span<Sum>(to, columns));
      map(
          columns, to, [factor](float v) { return v * factor; }, to);
    }
  });
}

}  // namespace tersor::cpu
