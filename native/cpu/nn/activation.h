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

// 1 / (1 + e^-x)
inline float sigmoid_of(float x) {
  const float e = exp_of_nonpositive(choose(x < 0.0f, x, -x));
  return choose(x < 0.0f, e, 1.0f) / (1.0f + e);
}

// Near 0 the polynomial of Cephes tanhf (Moshier), elsewhere (1 - e^-2|x|) / (1 + e^-2|x|) with the sign of x.
inline float tanh_of(float x) {
  const float size = choose(x < 0.0f, -x, x);
  const float e = exp_of_nonpositive(-2.0f * size);
  const float far = (1.0f - e) / (1.0f + e);
  const float t = x * x;
  float p = -5.70498872745e-3f;
  p = p * t + 2.06390887954e-2f;
  p = p * t + -5.37397155531e-2f;
  p = p * t + 1.33314422036e-1f;
  p = p * t + -3.33332819422e-1f;
  return choose(size < 0.625f, p * t * x + x, choose(x < 0.0f, -far, far));
}

// The argument of the logistic function that gelu_tanh_of is x times.
inline float gelu_tanh_argument(float x) { return 1.5957691216f * (x + 0.044715f * x * x * x); }

// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) (Hendrycks & Gimpel 2016), as x * sigmoid of twice that argument,
// which keeps its digits where tanh is next to -1.
inline float gelu_tanh_of(float x) { return x * sigmoid_of(gelu_tanh_argument(x)); }

// Slopes. Beyond the clamps they are 0 or 1 in f32, and products such as x * e^-x would be infinity * 0.

inline float clamped(float x, float most) { return choose(x > most, most, choose(x < -most, -most, x)); }

inline float gelu_slope_of(float x) {
  x = clamped(x, 20.0f);
  return 0.5f * (1.0f + erf_of(x * 0.70710678118f)) + x * 0.3989422804f * exp_of_nonpositive(-0.5f * x * x);
}

// s'(x) of the logistic function: the same on both sides of 0.
inline float sigmoid_slope_of(float x) {
  const float e = exp_of_nonpositive(choose(x < 0.0f, x, -x));
  return e / ((1.0f + e) * (1.0f + e));
}

inline float gelu_tanh_slope_of(float x) {
  x = clamped(x, 20.0f);
  const float u = gelu_tanh_argument(x);
  return sigmoid_of(u) + x * sigmoid_slope_of(u) * (1.5957691216f * (1.0f + 0.134145f * x * x));
}

inline float silu_slope_of(float x) {
  x = clamped(x, 100.0f);
  return sigmoid_of(x) + x * sigmoid_slope_of(x);
}

inline float tanh_slope_of(float x) { return 4.0f * sigmoid_slope_of(2.0f * x); }

}  // namespace
}  // namespace tersor::cpu
