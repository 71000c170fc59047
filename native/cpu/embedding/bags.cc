#include "cpu/embedding/bags.h"

#include "backend/fail.h"
#include "cpu/ids.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

int64_t offset_at(const tersor_tensor* offsets, int64_t i) {
  return offsets->dtype == TERSOR_I64 ? data_of<const int64_t>(offsets)[i] : data_of<const int32_t>(offsets)[i];
}

}  // namespace

int64_t bag_count(const tersor_bags* bags) {
  return elements_of(bags->offsets) - (bags->include_last_offset != 0 ? 1 : 0);
}

tersor_status check_bags(tersor_context* context, const tersor_bags* bags, int64_t rows, int64_t* bounds) {
  if (const tersor_status status = check_ids(context, bags->ids, rows); status != TERSOR_OK) return status;
  const int64_t count = bag_count(bags), ids = elements_of(bags->ids);
  if (count < 0) {
    return fail(context, TERSOR_INVALID_SHAPE, "expected the end of the last bag among the offsets, got no offsets");
  }
  if (count == 0 && ids != 0) {
    return fail(context, TERSOR_INVALID_SHAPE, "expected bags for %lld ids, got none", static_cast<long long>(ids));
  }
  const int64_t given = elements_of(bags->offsets);
  int64_t before = 0;
  for (int64_t i = 0; i < given; ++i) {
    const int64_t offset = offset_at(bags->offsets, i);
    const int64_t most = i == 0 ? 0 : ids;
    if (offset < before || offset > most) {
      return fail(context, TERSOR_OUT_OF_RANGE, "expected %lld <= offset <= %lld, got %lld, at offsets[%lld]",
                  static_cast<long long>(before), static_cast<long long>(most), static_cast<long long>(offset),
                  static_cast<long long>(i));
    }
    bounds[i] = before = offset;
  }
  if (bags->include_last_offset != 0 && before != ids) {
    return fail(context, TERSOR_OUT_OF_RANGE,
                "expected the last offset to be the number of ids, %lld, got %lld, at offsets[%lld]",
                static_cast<long long>(ids), static_cast<long long>(before), static_cast<long long>(given - 1));
  }
  bounds[count] = ids;
  return TERSOR_OK;
}

}  // namespace tersor::cpu
