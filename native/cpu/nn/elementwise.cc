#include "cpu/map.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

// y = function(a, b); a `b` shorter than `a` is repeated for every row.
template <typename Function>
tersor_status map_pairs(tersor_context* context, const tersor_tensor* a, const tersor_tensor* b, const tersor_tensor* y,
                        Function function) {
  const auto* pa = data_of<const float>(a);
  const auto* pb = data_of<const float>(b);
  auto* py = data_of<float>(y);
  const int64_t count = elements_of(a), columns = columns_of(a);
  if (elements_of(b) == count) {
    return for_chunks(context, count, kGrain, [&](int64_t begin, int64_t end) {
      map(end - begin, py + begin, function, pa + begin, pb + begin);
    });
  }
  return for_chunks(context, rows_of(a), row_grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) map(columns, py + row * columns, function, pa + row * columns, pb);
  });
}

}  // namespace

tersor_status scale(tersor_context* context, const tersor_tensor* x, float factor, const tersor_tensor* y) {
  const auto* px = data_of<const float>(x);
  auto* py = data_of<float>(y);
  return for_chunks(context, elements_of(x), kGrain, [&](int64_t begin, int64_t end) {
    map(
        end - begin, py + begin, [factor](float v) { return v * factor; }, px + begin);
  });
}

tersor_status binary(tersor_context* context, tersor_binary_op op, const tersor_tensor* a, const tersor_tensor* b,
                     const tersor_tensor* y) {
  switch (op) {
    case TERSOR_ADD:
      return map_pairs(context, a, b, y, [](float u, float v) { return u + v; });
    case TERSOR_SUB:
      return map_pairs(context, a, b, y, [](float u, float v) { return u - v; });
    case TERSOR_MUL:
      return map_pairs(context, a, b, y, [](float u, float v) { return u * v; });
  }
  return fail(context, TERSOR_INVALID_ARGUMENT, "expected a binary operation in [0, 2], got %d", static_cast<int>(op));
}

}  // namespace tersor::cpu
