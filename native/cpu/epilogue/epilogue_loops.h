// The epilogue's loops, which every ISA file compiles for itself (hence anonymous).
#pragma once

#include "cpu/epilogue/epilogue.h"
#include "cpu/nn/activation.h"

namespace tersor::cpu {
namespace {

template <typename Activation>
void epilogue_rows(const Epilogue& epilogue, const EpilogueTile& tile, const float* sums, int64_t sums_stride, float* y,
                   int64_t y_stride, Activation activation) {
  for (int64_t i = 0; i < tile.rows; ++i, sums += sums_stride, y += y_stride) {
    const float* bias = epilogue.bias == nullptr ? nullptr : epilogue.bias + tile.column;
    const float* residual =
        epilogue.residual == nullptr ? nullptr : epilogue.residual + (tile.row + i) * epilogue.columns + tile.column;
    // Four loops rather than one with conditions inside, which would not vectorise.
    if (bias != nullptr && residual != nullptr) {
      for (int64_t j = 0; j < tile.width; ++j) y[j] = activation(sums[j] + bias[j]) + residual[j];
    } else if (bias != nullptr) {
      for (int64_t j = 0; j < tile.width; ++j) y[j] = activation(sums[j] + bias[j]);
    } else if (residual != nullptr) {
      for (int64_t j = 0; j < tile.width; ++j) y[j] = activation(sums[j]) + residual[j];
    } else {
      for (int64_t j = 0; j < tile.width; ++j) y[j] = activation(sums[j]);
    }
  }
}

inline void epilogue_loops(const Epilogue& epilogue, const EpilogueTile& tile, const float* sums, int64_t sums_stride,
                           float* y, int64_t y_stride) {
  const auto with = [&](auto activation) { epilogue_rows(epilogue, tile, sums, sums_stride, y, y_stride, activation); };
  switch (epilogue.activation) {
    case TERSOR_IDENTITY:
      return with([](float x) { return x; });
    case TERSOR_RELU:
      return with([](float x) { return relu_of(x); });
    case TERSOR_GELU:
      return with([](float x) { return gelu_of(x); });
    case TERSOR_SILU:
      return with([](float x) { return silu_of(x); });
    case TERSOR_GELU_TANH:
      return with([](float x) { return gelu_tanh_of(x); });
    case TERSOR_TANH:
      return with([](float x) { return tanh_of(x); });
    case TERSOR_SIGMOID:
      return with([](float x) { return sigmoid_of(x); });
  }
}

}  // namespace
}  // namespace tersor::cpu
