// Updates of a span of a parameter: the kernels behind sgd_step, adam_step, rms_step and lamb_step.
#pragma once

#include <cstdint>

#include "backend/kernels.h"

namespace tersor::cpu {

// Nesterov steps along look * slope + along * v with look = 1, along = momentum; plain momentum with 0 and 1.
struct SgdCoefficients {
  float clip, rate, decay, momentum, look, along;
};

// p = keep * p - rate * m / (sqrt(v) * root + epsilon)
struct AdamCoefficients {
  float clip, rate, decay, keep, beta1, beta2, root, epsilon;
};

// s = keep * s + add * g^2; p -= rate * g / (sqrt(s) + epsilon)
struct RmsCoefficients {
  float clip, rate, decay, keep, add, epsilon;
};

struct OptimizerSpans {
  // v is null without momentum.
  void (*sgd)(const SgdCoefficients&, int64_t count, float* p, const float* g, float* v);
  void (*adam)(const AdamCoefficients&, int64_t count, float* p, const float* g, float* m, float* v);
  void (*rms)(const RmsCoefficients&, int64_t count, float* p, const float* g, float* s);
  // Moves the moments; the sum of squares of u = rate * m / (sqrt(v) * root + epsilon) + decay * p.
  double (*lamb_moments)(const AdamCoefficients&, int64_t count, const float* p, const float* g, float* m, float* v);
  // p -= step * u
  void (*lamb)(const AdamCoefficients&, float step, int64_t count, float* p, const float* m, const float* v);
  double (*squares)(const float* g, int64_t count);
};

using OptimizerKernel = const OptimizerSpans&();

extern const KernelList<OptimizerKernel> optimizer_kernels;

OptimizerKernel optimizer_scalar;
OptimizerKernel optimizer_neon;
OptimizerKernel optimizer_avx2;
OptimizerKernel optimizer_avx512;

}  // namespace tersor::cpu
