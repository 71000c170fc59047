// Packing of f32 panels by 8 x 8 transposes (AVX2). In an anonymous namespace for the reason given in gemm_tile.h.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "cpu/vector/transpose_avx2.h"

namespace tersor::cpu {
namespace {

// Transposes rows of 8; rows from `count` on are taken as zero.
static inline void load_transposed(const float* source, int64_t stride, int count, __m256 (&out)[8]) {
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) out[i] = i < count ? _mm256_loadu_ps(source + i * stride) : _mm256_setzero_ps();
  transpose_registers(out);
}

template <int kWidth>
void pack_contiguous_lanes(const float* source, int64_t k_stride, int lanes, int64_t k, float* panel) {
  if (lanes == kWidth) {
    for (int64_t p = 0; p < k; ++p) std::memcpy(panel + p * kWidth, source + p * k_stride, sizeof(float) * kWidth);
    return;
  }
  for (int64_t p = 0; p < k; ++p) {
    std::memcpy(panel + p * kWidth, source + p * k_stride, sizeof(float) * static_cast<size_t>(lanes));
    std::memset(panel + p * kWidth + lanes, 0, sizeof(float) * static_cast<size_t>(kWidth - lanes));
  }
}

// Eight lanes at a time. When kWidth is not a multiple of 8, each store runs over into the next k, which is written
// after it.
template <int kWidth>
void pack_contiguous_k(const float* source, int64_t lane_stride, int lanes, int64_t k, float* panel) {
  for (int lane = 0; lane < kWidth; lane += 8) {
    const float* from = source + lane * lane_stride;
    const int rest = lanes - lane;
    const int count = rest < 0 ? 0 : rest < 8 ? rest : 8;
    int64_t p = 0;
    for (; p + 8 <= k; p += 8) {
      __m256 columns[8];
      load_transposed(from + p, lane_stride, count, columns);
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) _mm256_storeu_ps(panel + (p + i) * kWidth + lane, columns[i]);
    }
    for (; p < k; ++p) {
      for (int i = 0; i < 8 && lane + i < kWidth; ++i) {
        panel[p * kWidth + lane + i] = i < count ? from[i * lane_stride + p] : 0.0f;
      }
    }
  }
}

template <int kWidth>
void pack_panel(const float* source, int64_t lane_stride, int64_t k_stride, int lanes, int64_t k, float* panel) {
  static_assert(kWidth < 8 || kWidth % 8 == 0,
                "a store may run over into the next k only when it is the row's only one");
  if (lane_stride == 1) {
    pack_contiguous_lanes<kWidth>(source, k_stride, lanes, k, panel);
  } else {
    pack_contiguous_k<kWidth>(source, lane_stride, lanes, k, panel);
  }
}

}  // namespace
}  // namespace tersor::cpu
