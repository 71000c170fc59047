// Row numbers that come from the caller.
#pragma once

#include <algorithm>
#include <cstdint>

#include "backend/fail.h"
#include "cpu/view.h"

namespace tersor::cpu {

// ids i32, each in [0, rows).
inline tersor_status check_ids(tersor_context* context, const tersor_tensor* ids, int64_t rows) {
  const auto* id = data_of<const int32_t>(ids);
  const int64_t count = elements_of(ids);
  // No exit, so that it vectorises: an id is out of range when its sign or that of last - id is set.
  const auto last = static_cast<uint32_t>(std::min<int64_t>(rows, INT32_MAX) - 1);
  uint32_t bad = 0;
  for (int64_t i = 0; i < count; ++i) bad |= static_cast<uint32_t>(id[i]) | (last - static_cast<uint32_t>(id[i]));
  if (bad >> 31 == 0) return TERSOR_OK;
  for (int64_t i = 0; i < count; ++i) {
    if (id[i] < 0 || id[i] >= rows) {
      return fail(context, TERSOR_OUT_OF_RANGE, "expected 0 <= id < %lld, got %d, at ids[%lld]",
                  static_cast<long long>(rows), id[i], static_cast<long long>(i));
    }
  }
  return TERSOR_OK;
}

}  // namespace tersor::cpu
