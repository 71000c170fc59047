// Softmax and what is made of it, a row at a time: the kernels behind softmax, log-softmax and the losses.
//
// A row with NaN or +infinity, or of -infinities only, gives NaN.
#pragma once

#include <cstdint>

#include "backend/kernels.h"

namespace tersor::cpu {

struct SoftmaxRows {
  // In place allowed.
  void (*softmax)(const float* x, int64_t columns, float* y);
  // dx = y (dy - <y, dy>). In place allowed on dy.
  void (*softmax_gradient)(const float* y, const float* dy, int64_t columns, float* dx);
  // x - log sum exp(x), which keeps what a logarithm of softmax loses. In place allowed.
  void (*log_softmax)(const float* x, int64_t columns, float* y);
  // dx = dy - exp(y) sum dy. In place allowed on dy.
  void (*log_softmax_gradient)(const float* y, const float* dy, int64_t columns, float* dx);
  // -log softmax(logits)[label]; gradient (may be null) = factor * (softmax(logits) - one-hot(label)).
  double (*cross_entropy)(const float* logits, int64_t columns, int64_t label, float factor, float* gradient);
  // KL(softmax(scale * teacher) || softmax(scale * student)), scale > 0; gradient (may be null) = factor * (student's
  // probabilities - teacher's). A teacher probability of 0 contributes 0 even where the student's logit is -infinity.
  double (*divergence)(const float* student, const float* teacher, int64_t columns, float scale, float factor,
                       float* gradient);
};

using SoftmaxRowsKernel = const SoftmaxRows&();

extern const KernelList<SoftmaxRowsKernel> softmax_kernels;

SoftmaxRowsKernel softmax_scalar;
SoftmaxRowsKernel softmax_neon;
SoftmaxRowsKernel softmax_avx2;
SoftmaxRowsKernel softmax_avx512;

}  // namespace tersor::cpu
