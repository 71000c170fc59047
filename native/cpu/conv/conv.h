// Convolution as products of matrices that are made a block at a time and never leave cache (Chellapilla et al. 2006,
// blocked): [outputs of a group][positions] = weights * columns, where a block of columns [depth][positions] holds what
// each position reads of the image. A 1 x 1 kernel that reads every position has its columns in the image itself.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "backend/kernels.h"

namespace tersor::cpu {

// Positions and depth of a block of columns: 128 KiB.
inline constexpr int64_t kConvPositions = 128, kConvDepth = 256;

struct Convolution {
  int64_t images, channels, height, width;  // of x
  int64_t outputs, out_height, out_width;   // of y
  int64_t kernel_height, kernel_width, groups;
  int64_t stride[2], padding[2], dilation[2];  // down, across

  int64_t positions() const { return out_height * out_width; }
  int64_t group_channels() const { return channels / groups; }
  int64_t group_outputs() const { return outputs / groups; }
  int64_t depth() const { return group_channels() * kernel_height * kernel_width; }
  bool reads_every_position() const {
    return kernel_height == 1 && kernel_width == 1 && stride[0] == 1 && stride[1] == 1 && padding[0] == 0 &&
           padding[1] == 0;
  }
};

// Each works on one image and one group, whose first element its pointers are at; weights are [group_outputs][depth].
// The gradients work on rows [k_begin, k_begin + k_count) of the columns, k_count <= kConvDepth.
struct ConvKernels {
  // y[o][p] += weights * columns for p in [begin, begin + count), count <= kConvPositions.
  void (*forward)(const Convolution&, const float* x, const float* weights, int64_t begin, int64_t count, float* y,
                  float* scratch);
  // dx += what dy sends back through those rows.
  void (*input_gradient)(const Convolution&, const float* weights, int64_t k_begin, int64_t k_count, const float* dy,
                         float* dx, float* scratch);
  // sums[depth][group_outputs] += columns * dy^T, those rows of it.
  void (*weight_gradient)(const Convolution&, const float* x, int64_t k_begin, int64_t k_count, const float* dy,
                          float* sums, float* scratch);
};

// Floats of scratch that the kernels need.
inline int64_t conv_scratch(const Convolution& c) { return kConvPositions * (kConvDepth + c.group_outputs()); }

using ConvKernel = const ConvKernels&();

extern const KernelList<ConvKernel> conv_kernels;

ConvKernel conv_scalar;
ConvKernel conv_avx2;
ConvKernel conv_avx512;

// The operations, by a kernel of the caller's choice.
tersor_status conv2d_by(const ConvKernels&, tersor_context*, const tersor_tensor* x, const tersor_tensor* w,
                        const tersor_tensor* bias, const tersor_convolution*, tersor_activation,
                        const tersor_tensor* y);
tersor_status conv2d_gradient_by(const ConvKernels&, tersor_context*, const tersor_tensor* x, const tersor_tensor* w,
                                 const tersor_convolution*, const tersor_tensor* dy, const tersor_tensor* dx,
                                 const tersor_tensor* dw, const tersor_tensor* dbias);

}  // namespace tersor::cpu
