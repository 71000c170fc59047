// The step of every register tile, over vectors of any ISA. Anonymous, because every file that includes it compiles it
// for its own.
//
// Vector brings: Number, Register, broadcast(p), multiply_add(a, b, c); on NEON, all of NeonF32 or NeonF64.
#pragma once

#if TERSOR_NEON
#include "cpu/vector/by_element_neon.h"
#endif

namespace tersor::cpu {
namespace {

// sums[i][v] += factors[i] * columns[v], factors being neighbours in memory.
template <typename Vector, int kRows, int kVectors, typename Number>
[[gnu::always_inline]] inline void add_outer_product(const Number* factors,
                                                     const typename Vector::Register (&columns)[kVectors],
                                                     typename Vector::Register (&sums)[kRows][kVectors]) {
#if TERSOR_NEON
  constexpr int kWidth = Vector::kWidth, kWhole = kRows / kWidth * kWidth;
  for_constants<kRows / kWidth>([&](auto group) __attribute__((always_inline)) {
    const auto lanes = Vector::load(factors + group * kWidth);
    for_constants<kWidth>([&](auto lane) __attribute__((always_inline)) {
      auto& row = sums[group * kWidth + lane];
      for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
        row[v] = Vector::template multiply_add_lane<lane>(columns[v], lanes, row[v]);
      });
    });
  });
#else
  constexpr int kWhole = 0;
#endif
#pragma GCC unroll 16
  for (int i = kWhole; i < kRows; ++i) {
    const auto factor = Vector::broadcast(factors + i);
#pragma GCC unroll 12
    for (int v = 0; v < kVectors; ++v) sums[i][v] = Vector::multiply_add(factor, columns[v], sums[i][v]);
  }
}

}  // namespace
}  // namespace tersor::cpu
