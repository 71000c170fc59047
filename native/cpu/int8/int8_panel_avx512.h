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

// Of a whole tile, or of its first 16 columns.
template <int kTileRows, int kVectors = 2>
using Sums = __m512i[kTileRows][kVectors];

template <int kTileRows, int kVectors>
[[gnu::always_inline]] inline void start(const Int8Panel& p, Sums<kTileRows, kVectors>& sums) {
  if (p.zero_points == nullptr) {
#pragma GCC unroll 16
    for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[i][v] = _mm512_loadu_si512(p.start + i * p.start_stride + v * 16);
    }
  } else {
    __m512i row_sums[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) row_sums[v] = _mm512_loadu_si512(p.start + v * 16);
#pragma GCC unroll 16
    for (int i = 0; i < kTileRows; ++i) {
      const __m512i factor = _mm512_set1_epi32(-p.zero_points[i]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[i][v] = _mm512_mullo_epi32(factor, row_sums[v]);
    }
  }
}

// Into the first of sets that took turns.
template <int kTileRows, int kVectors, int kSets>
[[gnu::always_inline]] inline void add_sets(__m512i (&sums)[kSets][kTileRows][kVectors]) {
#pragma GCC unroll 16
  for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 2
    for (int half = 0; half < kVectors; ++half) {
#pragma GCC unroll 4
      for (int set = 1; set < kSets; ++set) {
        sums[0][i][half] = _mm512_add_epi32(sums[0][i][half], sums[set][i][half]);
      }
      // Keeps gcc 12 from moving parts of what follows, with copies, into the loop.
      __asm__("" : "+v"(sums[0][i][half]));
    }
  }
}

template <int kTileRows, int kVectors>
[[gnu::always_inline]] inline void finish(const Int8Panel& p, const Sums<kTileRows, kVectors>& sums) {
  if (p.sums != nullptr) {
#pragma GCC unroll 16
    for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) _mm512_storeu_si512(p.sums + i * kInt8Columns + v * 16, sums[i][v]);
    }
    return;
  }
  __m512 factors[kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) factors[v] = _mm512_loadu_ps(p.factors + v * 16);
  float* y = p.y;
#pragma GCC unroll 16
  for (int i = 0; i < kTileRows; ++i, y += p.y_stride) {
#pragma GCC unroll 2
    for (int half = 0; half < kVectors; ++half) {
      const __m512 factor =
          p.x_scales == nullptr ? factors[half] : _mm512_mul_ps(_mm512_set1_ps(p.x_scales[i]), factors[half]);
      _mm512_storeu_ps(y + half * 16, _mm512_mul_ps(_mm512_cvtepi32_ps(sums[i][half]), factor));
    }
  }
}

}  // namespace
}  // namespace tersor::cpu
