#include <algorithm>
#include <bit>
#include <cmath>

#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

constexpr uint32_t kInfinity = 0x7f800000u;

// Magnitudes order like the integers that their bits are, NaN above infinity.
uint32_t magnitude_bits(float x) { return std::bit_cast<uint32_t>(x) & 0x7fffffffu; }

// A column stays when fewer than `keep` others of its group come before it: larger ones, and equal ones to its left.
// Counting them has no branches.
template <int64_t kGroup>
uint32_t select(const float* x, int64_t columns, int64_t keep, float* mask) {
  uint32_t magnitude[16], largest = 0;
  const int64_t count = kGroup == 0 ? columns : kGroup;
  for (int64_t j = 0; j < count; ++j) magnitude[j] = magnitude_bits(x[j]);
  for (int64_t j = 0; j < count; ++j) {
    int64_t before = 0;
    for (int64_t i = 0; i < count; ++i) before += i < j ? magnitude[i] >= magnitude[j] : magnitude[i] > magnitude[j];
    mask[j] = before < keep ? 1.0f : 0.0f;
    largest = std::max(largest, magnitude[j]);
  }
  return largest;
}

template <int64_t kGroup>
uint32_t select_row(const float* x, int64_t columns, int64_t keep, int64_t group, float* mask) {
  uint32_t largest = 0;
  int64_t j = 0;
  for (; j + group <= columns; j += group) largest = std::max(largest, select<kGroup>(x + j, group, keep, mask + j));
  if (j < columns) largest = std::max(largest, select<0>(x + j, columns - j, keep, mask + j));
  return largest;
}

using SelectRow = uint32_t(const float*, int64_t columns, int64_t keep, int64_t group, float*);

SelectRow* select_row_of(int64_t group) {
  return group == 4 ? select_row<4> : group == 8 ? select_row<8> : group == 16 ? select_row<16> : select_row<0>;
}

}  // namespace

tersor_status nm_mask(tersor_context* context, const tersor_tensor* x, int32_t keep, int32_t group,
                      const tersor_tensor* mask) {
  const int64_t columns = columns_of(x);
  const auto* px = data_of<const float>(x);
  SelectRow* const select_one = select_row_of(group);
  FirstPlace bad_row;
  const tersor_status status =
      for_chunks(context, rows_of(x), row_grain(group * columns), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          float* to = data_of<float>(mask) + row * columns;
          if (select_one(px + row * columns, columns, keep, group, to) > kInfinity) bad_row.report(row);
        }
      });
  if (status != TERSOR_OK || !bad_row.found()) return status;
  int64_t column = 0;
  while (!std::isnan(px[bad_row.place() * columns + column])) ++column;
  return fail(context, TERSOR_NOT_FINITE, "expected numbers, got nan, at x[%lld, %lld]",
              static_cast<long long>(bad_row.place()), static_cast<long long>(column));
}

}  // namespace tersor::cpu
