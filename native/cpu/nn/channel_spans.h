// A channel of an image at a time: the kernels behind batch_norm2d.
#pragma once

#include <cstdint>

#include "backend/kernels.h"

namespace tersor::cpu {

// Sums over pixels of dy and of dy * (x - mean).
struct ChannelSlopes {
  double dy, product;
};

struct ChannelSpans {
  double (*sum)(const float* x, int64_t count);
  double (*squares)(const float* x, int64_t count, float mean);  // of x - mean
  // y = (x - mean) * scale + shift; in place allowed.
  void (*affine)(const float* x, int64_t count, float mean, float scale, float shift, float* y);
  ChannelSlopes (*slopes)(const float* x, const float* dy, int64_t count, float mean);
  // dx = a * dy + b * (x - mean) + c; in place allowed on dy.
  void (*gradient)(const float* x, const float* dy, int64_t count, float mean, float a, float b, float c, float* dx);
};

using ChannelSpansKernel = const ChannelSpans&();

extern const KernelList<ChannelSpansKernel> channel_kernels;

ChannelSpansKernel channel_scalar;
ChannelSpansKernel channel_neon;
ChannelSpansKernel channel_avx2;
ChannelSpansKernel channel_avx512;

}  // namespace tersor::cpu
