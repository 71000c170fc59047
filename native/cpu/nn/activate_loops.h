// The loops of activate.h, which every ISA file compiles for itself (hence anonymous).
#pragma once

#include "cpu/nn/activate.h"
#include "cpu/nn/activation.h"

namespace tersor::cpu {
namespace {

// Blocks are read whole before they are written, so that loops vectorise although they may run in place.
inline constexpr int64_t kActivationBlock = 256;

template <typename Function, typename... Inputs>
void map_blocks(int64_t count, float* y, Function function, const Inputs*... x) {
  for (int64_t begin = 0; begin < count; begin += kActivationBlock) {
    const int64_t length = count - begin < kActivationBlock ? count - begin : kActivationBlock;
    float block[kActivationBlock];
    for (int64_t i = 0; i < length; ++i) block[i] = function(x[begin + i]...);
    __builtin_memcpy(y + begin, block, static_cast<size_t>(length) * sizeof(float));
  }
}

inline void activation_values(tersor_activation activation, int64_t count, const float* x, float* y) {
  const auto with = [=](auto function) { map_blocks(count, y, function, x); };
  switch (activation) {
    case TERSOR_IDENTITY:
      return with([](float v) { return v; });
    case TERSOR_RELU:
      return with([](float v) { return relu_of(v); });
    case TERSOR_GELU:
      return with([](float v) { return gelu_of(v); });
    case TERSOR_SILU:
      return with([](float v) { return silu_of(v); });
    case TERSOR_GELU_TANH:
      return with([](float v) { return gelu_tanh_of(v); });
    case TERSOR_TANH:
      return with([](float v) { return tanh_of(v); });
    case TERSOR_SIGMOID:
      return with([](float v) { return sigmoid_of(v); });
  }
}

inline void activation_gradients(tersor_activation activation, int64_t count, const float* x, const float* dy,
                                 float* dx) {
  const auto with = [=](auto slope) {
    map_blocks(
        count, dx, [=](float v, float d) { return slope(v) * d; }, x, dy);
  };
  switch (activation) {
    case TERSOR_IDENTITY:
      return with([](float) { return 1.0f; });
    case TERSOR_RELU:
      // NaN stays, as in relu itself.
      return with([](float v) { return choose(v <= 0.0f, 0.0f, choose(v > 0.0f, 1.0f, v)); });
    case TERSOR_GELU:
      return with([](float v) { return gelu_slope_of(v); });
    case TERSOR_SILU:
      return with([](float v) { return silu_slope_of(v); });
    case TERSOR_GELU_TANH:
      return with([](float v) { return gelu_tanh_slope_of(v); });
    case TERSOR_TANH:
      return with([](float v) { return tanh_slope_of(v); });
    case TERSOR_SIGMOID:
      return with([](float v) { return sigmoid_slope_of(v); });
  }
}

inline constexpr ActivateSpan kActivateSpan = {activation_values, activation_gradients};

}  // namespace
}  // namespace tersor::cpu
