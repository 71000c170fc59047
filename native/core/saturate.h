// Conversion of one number to an element type: half to even, integers saturate and take NaN as 0, floats follow IEEE
// 754.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/half.h"

namespace tersor {

// Bit patterns that are not to be mistaken for integers.
struct Half {
  uint16_t bits;
};
struct Bfloat {
  uint16_t bits;
};

template <typename To>
To saturated(double value) {
  if constexpr (std::is_same_v<To, float>) {
    return static_cast<float>(value);
  } else if constexpr (std::is_same_v<To, Half>) {
    return {f32_to_f16(static_cast<float>(value))};
  } else if constexpr (std::is_same_v<To, Bfloat>) {
    return {f32_to_bf16(static_cast<float>(value))};
  } else {
    static_assert(std::is_integral_v<To>);
    if (std::isnan(value)) return 0;
    const double rounded = std::nearbyint(value);
    // The upper limit of 64-bit types is not a double; 2^63 is, and is the first value out of range.
    if (rounded <= static_cast<double>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    if (rounded >= static_cast<double>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    return static_cast<To>(rounded);
  }
}

template <typename To, typename From>
To converted(From value) {
  if constexpr (std::is_same_v<From, Half>) {
    return f16_to_f32(value.bits);
  } else if constexpr (std::is_same_v<From, Bfloat>) {
    return bf16_to_f32(value.bits);
  } else {
    return saturated<To>(static_cast<double>(value));
  }
}

}  // namespace tersor
