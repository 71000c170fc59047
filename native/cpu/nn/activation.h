// Activations of one number, without branches, so that loops over them vectorise: the same bits on every ISA.
// Anonymous, because every file that includes it compiles them for its own.
#pragma once

#include <bit>
#include <cstdint>

#include "cpu/nn/exponential.h"

namespace tersor::cpu {
namespace {

// `condition ? a : b` without a branch.
inline float choose(bool condition, float a, float b) {
  const uint32_t mask = condition ? ~0u : 0u;
  return std::bit_cast<float>((std::bit_cast<uint32_t>(a) & mask) | (std::bit_cast<uint32_t>(b) & ~mask));
}

// max(x, 0); NaN stays.
inline float relu_of(float x) { return choose(x < 0.0f, 0.0f, x); }

// Within 5e-7 of erf, relative; NaN stays. Rational minimax of degree 13/8 on [-4, 4], beyond which erf is
// +-1 in f32 (the coefficients are those of Eigen's generic_fast_erf_float).
inline float erf_of(float x) {
  x = choose(x > 4.0f, 4.0f, choose(x < -4.0f, -4.0f, x));
  const float t = x * x;
  float p = -2.72614225801306e-10f;
  p = p * t + 2.77068142495902e-08f;
  p = p * t + -2.10102402082508e-06f;
  p = p * t + -5.69250639462346e-05f;
  p = p * t + -7.34990630326855e-04f;
  p = p * t + -2.95459980854025e-03f;
  p = p * t + -1.60960333262415e-02f;
  float q = -1.45660718464996e-05f;
  q = q * t + -2.13374055278905e-04f;
  q = q * t + -1.68282697438203e-03f;
  q = q * t + -7.37332916720468e-03f;
  q = q * t + -1.42647390514189e-02f;
  return x * p / q;
}

// x * Phi(x), Phi the normal distribution (Hendrycks & Gimpel 2016).
inline float gelu_of(float x) { return 0.5f * x * (1.0f + erf_of(x * 0.70710678118f)); }

// x / (1 + e^-x) (Elfwing et al. 2018).
inline float silu_of(float x) {
  const float e = exp_of_nonpositive(choose(x < 0.0f, x, -x));
  return x * choose(x < 0.0f, e, 1.0f) / (1.0f + e);
}

}  // namespace
}  // namespace tersor::cpu
