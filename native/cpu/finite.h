// Finding NaN and infinity before a comparison or an integer conversion hides them.
#pragma once

#include <bit>
#include <cstdint>

namespace tersor::cpu {

inline bool is_finite(float x) { return (std::bit_cast<uint32_t>(x) & 0x7f800000u) != 0x7f800000u; }

// Index of the first NaN or infinity, or -1. The first loop has no exit, so that it vectorises.
inline int64_t first_non_finite(const float* x, int64_t count) {
  uint32_t bad = 0;
  for (int64_t i = 0; i < count; ++i) bad |= is_finite(x[i]) ? 0u : 1u;
  if (bad == 0) return -1;
  int64_t i = 0;
  while (is_finite(x[i])) ++i;
  return i;
}

}  // namespace tersor::cpu
