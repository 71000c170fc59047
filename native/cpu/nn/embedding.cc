#include <cstring>

#include "core/half.h"
#include "cpu/ids.h"
#include "cpu/map.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {

namespace {

// y[i] = row ids[i]; convert(to, from, columns) copies one.
template <typename T, typename Convert>
tersor_status gather_rows(tersor_context* context, const tersor_tensor* table, const tersor_tensor* ids,
                          const tersor_tensor* y, Convert&& convert) {
  const auto* from = data_of<const T>(table);
  const auto* id = data_of<const int32_t>(ids);
  auto* to = data_of<float>(y);
  const int64_t columns = columns_of(table);
  return for_chunks(context, elements_of(ids), row_grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) convert(to + i * columns, from + id[i] * columns, columns);
  });
}

}  // namespace

tersor_status gather(tersor_context* context, const tersor_tensor* table, const tersor_tensor* ids,
                     const tersor_tensor* y) {
  if (const tersor_status status = check_ids(context, ids, rows_of(table)); status != TERSOR_OK) return status;
  switch (table->dtype) {
    case TERSOR_BF16:
      return gather_rows<uint16_t>(context, table, ids, y, [](float* to, const uint16_t* from, int64_t columns) {
        for (int64_t j = 0; j < columns; ++j) to[j] = bf16_to_f32(from[j]);
      });
    case TERSOR_F16:
      return gather_rows<uint16_t>(context, table, ids, y, [](float* to, const uint16_t* from, int64_t columns) {
        for (int64_t j = 0; j < columns; ++j) to[j] = f16_to_f32(from[j]);
      });
    default:
      return gather_rows<float>(context, table, ids, y, [](float* to, const float* from, int64_t columns) {
        std::memcpy(to, from, static_cast<size_t>(columns) * sizeof(float));
      });
  }
}

tersor_status scatter_add(tersor_context* context, const tersor_tensor* rows, const tersor_tensor* ids,
                          const tersor_tensor* table) {
  const auto* from = data_of<const float>(rows);
  const auto* id = data_of<const int32_t>(ids);
  auto* to = data_of<float>(table);
  const int64_t count = elements_of(ids), columns = columns_of(table);
  if (const tersor_status status = check_ids(context, ids, rows_of(table)); status != TERSOR_OK) return status;
  // Each part owns the table rows of one residue class and reads every id, so that equal ids add in order of i.
  const int64_t parts = count * columns <= kGrain ? 1 : 16;
  return for_chunks(context, parts, 1, [=](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      for (int64_t i = 0; i < count; ++i) {
        if (id[i] % parts != part) continue;
        float* row = to + id[i] * columns;
        map(
            columns, row, [](float u, float v) { return u + v; }, static_cast<const float*>(row), from + i * columns);
      }
    }
  });
}

}  // namespace tersor::cpu
