// Sum, minimum and maximum of a span in an order that depends on its length alone.
#pragma once

#include <cstdint>
#include <limits>

namespace tersor::cpu {

// In double: a float sum of n terms rounds once instead of n times.
struct Sum {
  using Accumulator = double;
  static constexpr double identity = 0.0;
  static double combine(double a, double b) { return a + b; }
};

// NaN wins over every number.
struct Minimum {
  using Accumulator = float;
  static constexpr float identity = std::numeric_limits<float>::infinity();
  static float combine(float a, float b) { return b < a || b != b ? b : a; }
};

struct Maximum {
  using Accumulator = float;
  static constexpr float identity = -std::numeric_limits<float>::infinity();
  static float combine(float a, float b) { return b > a || b != b ? b : a; }
};

template <typename Op>
typename Op::Accumulator reduce_span(const float* x, int64_t count) {
  constexpr int64_t kLanes = 8;
  typename Op::Accumulator lane[kLanes];
  for (auto& l : lane) l = Op::identity;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) lane[j] = Op::combine(lane[j], x[i + j]);
  }
  for (int64_t j = 0; i < count; ++i, ++j) lane[j] = Op::combine(lane[j], x[i]);
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t j = 0; j < width; ++j) lane[j] = Op::combine(lane[j], lane[j + width]);
  }
  return lane[0];
}

}  // namespace tersor::cpu
