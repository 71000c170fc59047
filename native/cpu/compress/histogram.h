// Counts of numbers by equal bins: the loop that decides how fast a histogram observer is.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "backend/kernels.h"

namespace tersor::cpu {

// Numbers that one call may count: a quarter of them must fit in the 16 bits of a partial count.
inline constexpr int64_t kHistogramSpan = int64_t{1} << 17;

// Neighbours are counted apart, since activations are often equal (zeros of a ReLU) and an increment has to wait for
// one of the same count.
inline constexpr int kHistogramParts = 4;

// partial[i % kHistogramParts][floor(x[i] * inverse) - first] += 1 for every i < count <= kHistogramSpan, `inverse` a
// power of two. The caller knows that x is finite and every place inside the bins.
using HistogramKernel = void(const float* x, int64_t count, float inverse, int32_t first,
                             uint16_t (*partial)[TERSOR_HISTOGRAM_BINS]);

extern const KernelList<HistogramKernel> histogram_kernels;

HistogramKernel histogram_scalar;
HistogramKernel histogram_avx2;
HistogramKernel histogram_avx512;

// The operation, by a kernel of the caller's choice.
tersor_status histogram_add_by(HistogramKernel* kernel, tersor_context* context, const tersor_tensor* x,
                               const tersor_histogram* histogram);

}  // namespace tersor::cpu
