// The loop of histogram.h, whose arithmetic the compiler vectorises for the instruction set of the file that includes
// it; anonymous, so that no copy is linked into code for other machines.
#pragma once

#include "cpu/compress/histogram.h"

namespace tersor::cpu {
namespace {

// floor(x * inverse) for a product within int32. One that underflows to 0 belongs below 0 when x does.
inline int32_t place_of(float x, float inverse) {
  const float scaled = x * inverse;
  const auto toward_zero = static_cast<int32_t>(scaled);
  const int32_t above = static_cast<float>(toward_zero) > scaled ? 1 : 0;
  const int32_t underflow = (toward_zero == 0 ? 1 : 0) & (x < 0.0f ? 1 : 0);
  return toward_zero - (above | underflow);
}

inline void count_places(const float* x, int64_t count, float inverse, int32_t first,
                         uint16_t (*partial)[TERSOR_HISTOGRAM_BINS]) {
  constexpr int64_t kBlock = 64;
  int32_t places[kBlock];
  int64_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    for (int64_t j = 0; j < kBlock; ++j) places[j] = place_of(x[i + j], inverse) - first;
    // Through memory: gcc 12 would take them out of registers one by one, and keep the shuffle port busy with it.
    asm volatile("" : "+m"(places));
    for (int64_t j = 0; j < kBlock; j += kHistogramParts) {
#pragma GCC unroll 4
      for (int part = 0; part < kHistogramParts; ++part) ++partial[part][places[j + part]];
    }
  }
  for (; i < count; ++i) ++partial[i % kHistogramParts][place_of(x[i], inverse) - first];
}

}  // namespace
}  // namespace tersor::cpu
