// The loops of products of low rank, which every ISA file compiles for itself.
#pragma once

#include <algorithm>

#include "cpu/low_rank/low_rank.h"
#include "cpu/vector/small_product.h"

namespace tersor::cpu {
namespace {

template <typename Vector>
void multiply_factor(int64_t rows, int64_t columns, int64_t depth, const float* a, int64_t a_stride, const float* b,
                     float* c, int64_t c_stride, bool accumulate) {
  small_product_of<Vector, false>(rows, columns, depth, {a, a_stride, 1}, b, kFactorColumns, c, c_stride, accumulate);
}

// kUnits sums over `depth` of a[u] with a tile's columns b[u].
template <typename Vector, int kUnits>
void multiply_units(int64_t depth, const float* const (&a)[kUnits], const float* const (&b)[kUnits],
                    float (*sums)[kFactorColumns]) {
  constexpr int kVectors = kFactorColumns / Vector::kWidth;
  typename Vector::Register registers[kUnits][kVectors];
#pragma GCC unroll 4
  for (int u = 0; u < kUnits; ++u) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) registers[u][v] = Vector::all(0.0f);
  }
  for (int64_t p = 0; p < depth; ++p) {
#pragma GCC unroll 4
    for (int u = 0; u < kUnits; ++u) {
      const auto factor = Vector::all(a[u][p]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        const auto column = Vector::load(b[u] + p * kFactorColumns + v * Vector::kWidth);
        registers[u][v] = Vector::multiply_add(factor, column, registers[u][v]);
      }
    }
  }
#pragma GCC unroll 4
  for (int u = 0; u < kUnits; ++u) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) Vector::store(sums[u] + v * Vector::kWidth, registers[u][v]);
  }
}

template <typename Vector>
void multiply_factor_row(int64_t tiles, int64_t depth, const float* a, const float* b, float* c) {
  constexpr int kUnits = Vector::kWidth >= 16 ? 4 : Vector::kWidth >= 8 ? 2 : 1;
  const int64_t parts = depth == 0 ? 1 : (depth + kFactorDepth - 1) / kFactorDepth, units = tiles * parts;
  alignas(64) float sums[kUnits][kFactorColumns];
  const auto first = [&](int64_t unit) { return unit % parts * kFactorDepth; };
  const auto length = [&](int64_t unit) { return std::min(kFactorDepth, depth - first(unit)); };
  const auto columns = [&](int64_t unit) { return b + (unit / parts * depth + first(unit)) * kFactorColumns; };
  const auto add = [&](int64_t unit, const float* sum) {
    float* to = c + unit / parts * kFactorColumns;
    const bool begins = unit % parts == 0;
    for (int64_t j = 0; j < kFactorColumns; ++j) to[j] = begins ? sum[j] : to[j] + sum[j];
  };
  for (int64_t unit = 0; unit < units;) {
    bool together = unit + kUnits <= units;
    for (int u = 1; together && u < kUnits; ++u) together = length(unit + u) == length(unit);
    if (together) {
      const float *from[kUnits], *by[kUnits];
      for (int u = 0; u < kUnits; ++u) {
        from[u] = a + first(unit + u);
        by[u] = columns(unit + u);
      }
      multiply_units<Vector, kUnits>(length(unit), from, by, sums);
      for (int u = 0; u < kUnits; ++u) add(unit + u, sums[u]);
      unit += kUnits;
    } else {
      const float *const from[1] = {a + first(unit)}, *const by[1] = {columns(unit)};
      multiply_units<Vector, 1>(length(unit), from, by, sums);
      add(unit, sums[0]);
      ++unit;
    }
  }
}

template <typename Vector>
constexpr LowRankKernels low_rank_loops() {
  return {multiply_factor<Vector>, multiply_factor_row<Vector>};
}

}  // namespace
}  // namespace tersor::cpu
