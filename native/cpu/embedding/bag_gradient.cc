// Gradients of a table with respect to bags: only rows that were looked up have one, and it is made once for each.
#include <algorithm>
#include <cmath>

#include "backend/fail.h"
#include "cpu/embedding/bags.h"
#include "cpu/embedding/sort_ids.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

// What every look-up has to do with its bag.
struct LookUps {
  const int32_t* ids;
  const int64_t* bounds;
  const int32_t* bag_of;   // [ids]
  const int32_t* largest;  // with max: [bags, columns], the look-up that the maximum came from
  const float* weights;
  tersor_bag_mode mode;
  int64_t columns;
};

// The first look-up of each bag that holds the maximum of a column; the first NaN when there is one.
tersor_status find_largest(tersor_context* context, const float* table, const LookUps& look_ups, int64_t bags,
                           int32_t* largest) {
  const int64_t columns = look_ups.columns;
  return for_chunks(context, bags, row_grain(columns * 16), [&](int64_t begin, int64_t end) {
    for (int64_t bag = begin; bag < end; ++bag) {
      int32_t* best = largest + bag * columns;
      std::fill_n(best, columns, static_cast<int32_t>(look_ups.bounds[bag]));
      for (int64_t i = look_ups.bounds[bag] + 1; i < look_ups.bounds[bag + 1]; ++i) {
        const float* row = table + look_ups.ids[i] * columns;
        for (int64_t j = 0; j < columns; ++j) {
          const float before = table[look_ups.ids[best[j]] * columns + j];
          if (row[j] > before || (std::isnan(row[j]) && !std::isnan(before))) best[j] = static_cast<int32_t>(i);
        }
      }
    }
  });
}

// row += what look-up i owes to its bag's gradient.
void add_share(const LookUps& look_ups, const float* gradient, int32_t i, float* row) {
  const int64_t bag = look_ups.bag_of[i], columns = look_ups.columns;
  const float* from = gradient + bag * columns;
  if (look_ups.mode == TERSOR_BAG_MAX) {
    const int32_t* largest = look_ups.largest + bag * columns;
    for (int64_t j = 0; j < columns; ++j) row[j] += largest[j] == i ? from[j] : 0.0f;
    return;
  }
  const auto count = static_cast<float>(look_ups.bounds[bag + 1] - look_ups.bounds[bag]);
  const float divisor = look_ups.mode == TERSOR_BAG_MEAN ? count : 1.0f;
  const float factor = look_ups.weights == nullptr ? 1.0f : look_ups.weights[i];
  for (int64_t j = 0; j < columns; ++j) row[j] += factor * (from[j] / divisor);
}

}  // namespace

tersor_status embedding_bag_gradient(tersor_context* context, const tersor_tensor* table, const tersor_bags* bags,
                                     const tersor_tensor* bag_gradient, const tersor_tensor* unique,
                                     const tersor_tensor* rows, const tersor_tensor* unique_count) {
  const int64_t bag_total = bag_count(bags), count = elements_of(bags->ids), columns = columns_of(table);
  if (count > INT32_MAX) {
    return fail(context, TERSOR_UNSUPPORTED, "expected at most 2^31 - 1 ids, got %lld", static_cast<long long>(count));
  }
  const bool is_max = bags->mode == TERSOR_BAG_MAX;
  const auto words = static_cast<size_t>(4 * count + (is_max ? bag_total * columns : 0) + 1);
  void* memory = nullptr;
  if (const tersor_status status =
          scratch(context, static_cast<size_t>(bag_total + 2) * sizeof(int64_t) + words * sizeof(int32_t), &memory);
      status != TERSOR_OK) {
    return status;
  }
  auto* bounds = static_cast<int64_t*>(memory);
  auto* bag_of = reinterpret_cast<int32_t*>(bounds + bag_total + 2);
  int32_t *positions = bag_of + count, *spare = positions + count, *starts = spare + count;
  int32_t* largest = starts + count + 1;
  if (const tersor_status status = check_bags(context, bags, rows_of(table), bounds); status != TERSOR_OK) {
    return status;
  }
  const auto* ids = data_of<const int32_t>(bags->ids);
  for (int64_t bag = 0; bag < bag_total; ++bag) {
    std::fill(bag_of + bounds[bag], bag_of + bounds[bag + 1], static_cast<int32_t>(bag));
  }
  const LookUps look_ups{ids,
                         bounds,
                         bag_of,
                         is_max ? largest : nullptr,
                         bags->weights == nullptr ? nullptr : data_of<const float>(bags->weights),
                         bags->mode,
                         columns};
  if (is_max) {
    if (const tersor_status status = find_largest(context, data_of<const float>(table), look_ups, bag_total, largest);
        status != TERSOR_OK) {
      return status;
    }
  }
  sort_by_id(ids, count, rows_of(table), positions, spare);
  int64_t found = 0;
  auto* unique_ids = data_of<int32_t>(unique);
  for (int64_t i = 0; i < count; ++i) {
    if (i != 0 && ids[positions[i]] == ids[positions[i - 1]]) continue;
    unique_ids[found] = ids[positions[i]];
    starts[found++] = static_cast<int32_t>(i);
  }
  starts[found] = static_cast<int32_t>(count);
  std::fill(unique_ids + found, unique_ids + count, 0);
  *data_of<int32_t>(unique_count) = static_cast<int32_t>(found);

  auto* to = data_of<float>(rows);
  const auto* gradient = data_of<const float>(bag_gradient);
  return for_chunks(context, count, row_grain(columns), [&](int64_t begin, int64_t end) {
    std::fill(to + begin * columns, to + end * columns, 0.0f);
    for (int64_t row = begin; row < std::min(end, found); ++row) {
      for (int32_t i = starts[row]; i < starts[row + 1]; ++i) {
        add_share(look_ups, gradient, positions[i], to + row * columns);
      }
    }
  });
}

}  // namespace tersor::cpu
