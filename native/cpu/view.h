// A tensor seen as a matrix: the last dimension are columns, the others together are rows.
#pragma once

#include <cstdint>

#include "backend/backend.h"

namespace tersor::cpu {

template <typename T>
T* data_of(const tersor_tensor* tensor) {
  return static_cast<T*>(tensor->data);
}

inline int64_t columns_of(const tersor_tensor* tensor) {
  return tensor->rank == 0 ? 1 : tensor->shape[tensor->rank - 1];
}

inline int64_t rows_of(const tersor_tensor* tensor) {
  int64_t rows = 1;
  for (int32_t i = 0; i + 1 < tensor->rank; ++i) rows *= tensor->shape[i];
  return rows;
}

inline int64_t elements_of(const tersor_tensor* tensor) { return rows_of(tensor) * columns_of(tensor); }

}  // namespace tersor::cpu
