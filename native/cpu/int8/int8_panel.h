// First sums and results of a panel, for kernels that keep sums in memory between: loops that the compiler vectorises
// for the instruction set of the file that includes them. Anonymous, so that none of them is linked into code for other
// machines.
#pragma once

#include "cpu/int8/gemm_int8.h"

namespace tersor::cpu {
namespace {

// Unsigned: a weight whose sums are not its own gives wrong numbers, not undefined behaviour.
void start_panel(const Int8Panel& p, int32_t* sums) {
  for (int64_t i = 0; i < p.rows; ++i) {
    const int32_t* start = p.start + i * p.start_stride;
    if (p.zero_points == nullptr) {
      for (int64_t j = 0; j < kInt8Columns; ++j) sums[i * kInt8Columns + j] = start[j];
    } else {
      const uint32_t factor = 0u - static_cast<uint32_t>(p.zero_points[i]);
      for (int64_t j = 0; j < kInt8Columns; ++j) {
        sums[i * kInt8Columns + j] = static_cast<int32_t>(factor * static_cast<uint32_t>(start[j]));
      }
    }
  }
}

void finish_panel(const Int8Panel& p, const int32_t* sums) {
  for (int64_t i = 0; i < p.rows; ++i, sums += kInt8Columns) {
    if (p.sums != nullptr) {
      for (int64_t j = 0; j < kInt8Columns; ++j) p.sums[i * kInt8Columns + j] = sums[j];
      continue;
    }
    float factors[kInt8Columns];
    for (int64_t j = 0; j < kInt8Columns; ++j) {
      factors[j] = p.x_scales == nullptr ? p.factors[j] : p.x_scales[i] * p.factors[j];
    }
    float* y = p.y + i * p.y_stride;
    for (int64_t j = 0; j < kInt8Columns; ++j) y[j] = static_cast<float>(sums[j]) * factors[j];
  }
}

}  // namespace
}  // namespace tersor::cpu
