// What the losses share: log-sum-exp of a row of logits divided by a temperature.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "cpu/map.h"
#include "cpu/nn/exponential.h"
#include "cpu/reduction.h"

namespace tersor::cpu {

// Logits are read in blocks of this many, so that exponentials need no memory of their own.
inline constexpr int64_t kLossBlock = 256;

// softmax(z)[j] = exp(scale * (z[j] - largest)) / total
struct Softmax {
  float scale, largest;
  double total;

  float shifted(float logit) const { return scale * (logit - largest); }
  double log_total() const { return std::log(total); }

  // block[j] = exp(shifted(logits[j]))
  void exponentials(const float* logits, int64_t count, float* block) const {
    map(
        count, block, [this](float z) { return exp_of_nonpositive(scale * (z - largest)); }, logits);
  }
};

// `scale` > 0 is one over the temperature.
inline Softmax softmax_of_row(const float* logits, int64_t columns, float scale) {
  Softmax softmax{scale, reduce_span<Maximum>(logits, columns), 0.0};
  float block[kLossBlock];
  for (int64_t j = 0; j < columns; j += kLossBlock) {
    const int64_t count = std::min(kLossBlock, columns - j);
    softmax.exponentials(logits + j, count, block);
    softmax.total += reduce_span<Sum>(block, count);
  }
  return softmax;
}

}  // namespace tersor::cpu
