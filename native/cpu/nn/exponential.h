// exp(x) for x <= 0, as softmax and the activations need it: no branches, so that loops over it vectorise, and the same
// bits with any libm. Anonymous, because every file that includes it compiles it for its own ISA.
#pragma once

#include <bit>
#include <cstdint>

namespace tersor::cpu {
namespace {

// Within 2 units in the last place; 0 below -87.33, where results would be subnormal; NaN stays NaN.
// Reduction to r = x - n ln 2, |r| <= ln 2 / 2, then the polynomial of Cephes expf (Moshier).
inline float exp_of_nonpositive(float x) {
  constexpr float kSmallest = -87.33f, kLog2e = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves round-half-even(v) in the low bits
  const float shifted = x * kLog2e + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const uint32_t exponent = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRound) + 127u;
  // A mask: `?:` around the product is a branch to a compiler that respects traps, and the loop stays scalar.
  const uint32_t kept = x < kSmallest ? 0u : ~0u;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(p * std::bit_cast<float>(exponent << 23)) & kept);
}

}  // namespace
}  // namespace tersor::cpu
