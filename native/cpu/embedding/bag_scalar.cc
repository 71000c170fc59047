#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/half.h"
#include "cpu/embedding/bag.h"

namespace tersor::cpu {
namespace {

float float_at(const uint8_t* p) {
  float value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// The number that column j of a row stands for is scale * raw(row, j) + bias.
template <BagFormat kFormat>
float raw(const uint8_t* row, int64_t j) {
  constexpr int kBits = element_bits(kFormat);
  if constexpr (kBits == 32) {
    return float_at(row + j * 4);
  } else if constexpr (kBits == 16) {
    uint16_t half;
    std::memcpy(&half, row + j * 2, sizeof half);
    return kFormat == BagFormat::f16 ? f16_to_f32(half) : bf16_to_f32(half);
  } else {
    constexpr int kFields = 8 / kBits;
    const auto shift = static_cast<int>(j % kFields) * kBits;
    return static_cast<float>(row[j / kFields] >> shift & ((1 << kBits) - 1));
  }
}

template <BagFormat kFormat>
void bag(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  constexpr bool kCodes = element_bits(kFormat) <= 8;
  const int64_t columns = table.columns;
  for (int64_t b = first; b < last; ++b) {
    float* to = y + b * columns;
    const int64_t begin = bags.bounds[b], end = bags.bounds[b + 1];
    const bool max = bags.mode == TERSOR_BAG_MAX;
    std::fill_n(to, columns, max && begin < end ? -std::numeric_limits<float>::infinity() : 0.0f);
    float biases = 0;
    for (int64_t i = begin; i < end; ++i) {
      __builtin_prefetch(table.rows + bags.ids[std::min(i + table.ahead, bags.count - 1)] * table.row_bytes);
      const uint8_t* row = table.rows + bags.ids[i] * table.row_bytes;
      const float scale = kCodes ? float_at(row + table.row_bytes - 8) : 1.0f;
      const float bias = kCodes ? float_at(row + table.row_bytes - 4) : 0.0f;
      if (max) {
        for (int64_t j = 0; j < columns; ++j) {
          const float x = kCodes ? scale * raw<kFormat>(row, j) + bias : raw<kFormat>(row, j);
          to[j] = x > to[j] || std::isnan(x) ? x : to[j];  // NaN wins
        }
        continue;
      }
      const float weight = bags.weights == nullptr ? 1.0f : bags.weights[i], factor = scale * weight;
      for (int64_t j = 0; j < columns; ++j) to[j] += factor * raw<kFormat>(row, j);
      if (kCodes) biases += bias * weight;
    }
    if (max) continue;
    const float divisor = bags.mode == TERSOR_BAG_MEAN && end > begin ? static_cast<float>(end - begin) : 1.0f;
    for (int64_t j = 0; j < columns; ++j) to[j] = (to[j] + biases) / divisor;
  }
}

}  // namespace

void bag_f32_scalar(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  bag<BagFormat::f32>(table, bags, first, last, y);
}
void bag_f16_scalar(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  bag<BagFormat::f16>(table, bags, first, last, y);
}
void bag_bf16_scalar(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  bag<BagFormat::bf16>(table, bags, first, last, y);
}
void bag_int8_scalar(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  bag<BagFormat::int8>(table, bags, first, last, y);
}
void bag_int4_scalar(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  bag<BagFormat::int4>(table, bags, first, last, y);
}
void bag_int2_scalar(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  bag<BagFormat::int2>(table, bags, first, last, y);
}

}  // namespace tersor::cpu
