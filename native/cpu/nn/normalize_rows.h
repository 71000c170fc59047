// Layer norm (Ba et al. 2016) and RMS norm (Zhang & Sennrich 2019), a row at a time: the kernels behind normalize.
#pragma once

#include <cstdint>

#include "backend/kernels.h"

namespace tersor::cpu {

struct Normalization {
  const float* weight;  // [columns] or null (= 1)
  const float* bias;    // [columns] or null (= 0)
  float epsilon;
  bool center;  // layer norm; else RMS norm
};

struct NormalizeRows {
  // y = (x - mean) / sqrt(variance + epsilon) * weight + bias, where an RMS norm takes the mean for 0. The statistics
  // are those of two passes: a large mean does not drown the variance. In place allowed.
  void (*normalize)(const Normalization&, const float* x, int64_t columns, float* y);
  // dx of a row (null: not wanted; in place allowed on dy); adds the row's share to weight_gradient and bias_gradient
  // (each may be null).
  void (*gradient)(const Normalization&, const float* x, const float* dy, int64_t columns, float* dx,
                   float* weight_gradient, float* bias_gradient);
};

using NormalizeRowsKernel = const NormalizeRows&();

extern const KernelList<NormalizeRowsKernel> normalize_kernels;

NormalizeRowsKernel normalize_scalar;
NormalizeRowsKernel normalize_neon;
NormalizeRowsKernel normalize_avx2;
NormalizeRowsKernel normalize_avx512;

}  // namespace tersor::cpu
