// Elementwise loops that may run in place and still vectorise: a block is read whole before it is written.
#pragma once

#include <cstdint>

namespace tersor::cpu {

// y[i] = function(x[i]...)
template <typename Function, typename... Inputs>
void map(int64_t count, float* y, Function function, const Inputs*... x) {
  constexpr int64_t kBlock = 16;
  int64_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    float block[kBlock];
    for (int64_t j = 0; j < kBlock; ++j) block[j] = function(x[i + j]...);
    for (int64_t j = 0; j < kBlock; ++j) y[i + j] = block[j];
  }
  for (; i < count; ++i) y[i] = function(x[i]...);
}

}  // namespace tersor::cpu
