#include <cstring>

#include "core/dtype.h"
#include "cpu/operations.h"

namespace tersor::cpu {

tersor_status copy_columns(tersor_context*, const tersor_tensor* x, int64_t x_begin, const tersor_tensor* y,
                           int64_t y_begin, int64_t count) {
  const int64_t element = bits_of(x->dtype) / 8;
  const int64_t x_stride = x->shape[1] * element;
  const int64_t y_stride = y->shape[1] * element;
  const auto* from = static_cast<const char*>(x->data) + x_begin * element;
  auto* to = static_cast<char*>(y->data) + y_begin * element;
  for (int64_t row = 0; row < x->shape[0]; ++row) {
    std::memcpy(to + row * y_stride, from + row * x_stride, static_cast<size_t>(count * element));
  }
  return TERSOR_OK;
}

}  // namespace tersor::cpu
