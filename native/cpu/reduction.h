// Sum, minimum and maximum of a span in an order that depends on its length alone.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace tersor::cpu {

// In double: a float sum of n terms rounds once instead of n times.
struct Sum {
  using Accumulator = double;
  static constexpr double identity = 0.0;
  static double combine(double a, double b) { return a + b; }
};

// NaN wins over every number. `better` does not know NaN: a plain comparison and choice is one vector instruction each.
struct Minimum {
  using Accumulator = float;
  static constexpr float identity = std::numeric_limits<float>::infinity();
  static float better(float a, float b) { return b < a ? b : a; }
  static float combine(float a, float b) { return b != b ? b : better(a, b); }
};

struct Maximum {
  using Accumulator = float;
  static constexpr float identity = -std::numeric_limits<float>::infinity();
  static float better(float a, float b) { return b > a ? b : a; }
  static float combine(float a, float b) { return b != b ? b : better(a, b); }
};

inline bool has_nan(const float* x, int64_t count) {
  uint32_t found = 0;
  for (int64_t i = 0; i < count; ++i) found |= (std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu) > 0x7f800000u ? 1u : 0u;
  return found != 0;
}

template <typename Op>
typename Op::Accumulator reduce_span(const float* x, int64_t count) {
  constexpr int64_t kLanes = 8;
  constexpr bool kExtreme = !std::is_same_v<Op, Sum>;
  if (kExtreme && has_nan(x, count)) return std::numeric_limits<float>::quiet_NaN();
  const auto step = [](typename Op::Accumulator a, float b) {
    if constexpr (kExtreme) {
      return Op::better(a, b);
    } else {
      return Op::combine(a, b);
    }
  };
  typename Op::Accumulator lane[kLanes];
  for (auto& l : lane) l = Op::identity;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) lane[j] = step(lane[j], x[i + j]);
  }
  for (int64_t j = 0; i < count; ++i, ++j) lane[j] = step(lane[j], x[i]);
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t j = 0; j < width; ++j) lane[j] = Op::combine(lane[j], lane[j + width]);
  }
  return lane[0];
}

}  // namespace tersor::cpu
