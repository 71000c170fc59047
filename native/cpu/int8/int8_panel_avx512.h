// A panel in registers (AVX-512 VNNI): first sums, steps and results. Anonymous, because every file that includes it
// compiles it for its own ISA.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "cpu/int8/gemm_int8.h"

namespace tersor::cpu {
namespace {

// By hand: gcc 12 copies and spills the accumulators of _mm512_dpbusd_epi32.
inline __m512i multiply_add(__m512i sum, __m512i x, __m512i w) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
  return sum;
}

inline __m512i broadcast(const uint8_t* x) {
  int32_t four;
  std::memcpy(&four, x, 4);
  return _mm512_set1_epi32(four);
}

template <int kTileRows>
using Sums = __m512i[kTileRows][2];

template <int kTileRows>
[[gnu::always_inline]] inline void start(const Int8Panel& p, Sums<kTileRows>& sums) {
  if (p.zero_points == nullptr) {
#pragma GCC unroll 12
    for (int i = 0; i < kTileRows; ++i) {
      sums[i][0] = _mm512_loadu_si512(p.start + i * p.start_stride);
      sums[i][1] = _mm512_loadu_si512(p.start + i * p.start_stride + 16);
    }
  } else {
    const __m512i row_sums[2] = {_mm512_loadu_si512(p.start), _mm512_loadu_si512(p.start + 16)};
#pragma GCC unroll 12
    for (int i = 0; i < kTileRows; ++i) {
      const __m512i factor = _mm512_set1_epi32(-p.zero_points[i]);
      sums[i][0] = _mm512_mullo_epi32(factor, row_sums[0]);
      sums[i][1] = _mm512_mullo_epi32(factor, row_sums[1]);
    }
  }
}

// Into the first of sets that took turns.
template <int kTileRows, int kSets>
[[gnu::always_inline]] inline void add_sets(__m512i (&sums)[kSets][kTileRows][2]) {
#pragma GCC unroll 12
  for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
#pragma GCC unroll 4
      for (int set = 1; set < kSets; ++set) {
        sums[0][i][half] = _mm512_add_epi32(sums[0][i][half], sums[set][i][half]);
      }
      // Keeps gcc 12 from moving parts of what follows, with copies, into the loop.
      __asm__("" : "+v"(sums[0][i][half]));
    }
  }
}

template <int kTileRows>
[[gnu::always_inline]] inline void finish(const Int8Panel& p, const Sums<kTileRows>& sums) {
  if (p.sums != nullptr) {
#pragma GCC unroll 12
    for (int i = 0; i < kTileRows; ++i) {
      _mm512_storeu_si512(p.sums + i * kInt8Columns, sums[i][0]);
      _mm512_storeu_si512(p.sums + i * kInt8Columns + 16, sums[i][1]);
    }
    return;
  }
  const __m512 factors[2] = {_mm512_loadu_ps(p.factors), _mm512_loadu_ps(p.factors + 16)};
  float* y = p.y;
#pragma GCC unroll 12
  for (int i = 0; i < kTileRows; ++i, y += p.y_stride) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const __m512 factor =
          p.x_scales == nullptr ? factors[half] : _mm512_mul_ps(_mm512_set1_ps(p.x_scales[i]), factors[half]);
      _mm512_storeu_ps(y + half * 16, _mm512_mul_ps(_mm512_cvtepi32_ps(sums[i][half]), factor));
    }
  }
}

}  // namespace
}  // namespace tersor::cpu
