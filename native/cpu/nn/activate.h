// An activation over a span: the kernels behind activate. The same bits on every ISA, and in a product's epilogue.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "backend/kernels.h"

namespace tersor::cpu {

struct ActivateSpan {
  // y = activation(x). In place allowed.
  void (*value)(tersor_activation activation, int64_t count, const float* x, float* y);
  // dx = activation'(x) dy. In place allowed on dy.
  void (*gradient)(tersor_activation activation, int64_t count, const float* x, const float* dy, float* dx);
};

using ActivateKernel = const ActivateSpan&();

extern const KernelList<ActivateKernel> activate_kernels;

ActivateKernel activate_scalar;
ActivateKernel activate_avx2;
ActivateKernel activate_avx512;

}  // namespace tersor::cpu
