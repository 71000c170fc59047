// A run of numbers to 8-bit codes of one affine group, and the range of a run: the loops that decide the speed of
// quantization. What they compute is the rule of affine.h.
#pragma once

#include <cstdint>

#include "backend/kernels.h"

namespace tersor::cpu {

// code = round_half_even(clamp((x - bias) / scale, lower, upper)) + zero_point
struct Encoding {
  float scale, bias, lower, upper;
  int32_t zero_point;
};

// The codes of [0, 255] with a zero point.
Encoding u8_encoding(float scale, int32_t zero_point);

// False when x holds NaN or infinity; their codes are then those of some number. Codes are i8 or u8.
using EncodeKernel = bool(const Encoding&, const float* x, int64_t count, uint8_t* codes);

struct Range {
  float low, high;
  bool finite;
};

// Smallest and largest value, 0 among them; those mean nothing when x holds NaN or infinity.
using RangeKernel = Range(const float* x, int64_t count);

extern const KernelList<EncodeKernel> encode_kernels;
extern const KernelList<RangeKernel> range_kernels;

EncodeKernel encode_scalar;
EncodeKernel encode_avx2;
EncodeKernel encode_avx512;
RangeKernel range_scalar;
RangeKernel range_avx2;
RangeKernel range_avx512;

}  // namespace tersor::cpu
