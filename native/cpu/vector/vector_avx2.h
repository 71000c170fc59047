// Vectors of AVX2 with FMA; see vector_scalar.h for what the members mean.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "cpu/vector/transpose_avx2.h"

namespace tersor::cpu {
namespace {

struct Avx2Vector {
  static constexpr int kWidth = 8, kSmallRows = 6;
  using Register = __m256;
  using Integers [[gnu::vector_size(32)]] = int32_t;

  static __m256i mask(int count) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane);
  }
  static Register all(float value) { return _mm256_set1_ps(value); }
  static Register load(const float* p) { return _mm256_loadu_ps(p); }
  static Register load(const float* p, int count) { return _mm256_maskload_ps(p, mask(count)); }
  static void store(float* p, Register v) { _mm256_storeu_ps(p, v); }
  static void store(float* p, Register v, int count) { _mm256_maskstore_ps(p, mask(count), v); }

  static Register multiply_add(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
  static Register max(Register a, Register b) { return _mm256_max_ps(a, b); }
  static Register sqrt(Register v) { return _mm256_sqrt_ps(v); }
  static constexpr int kSquare = 8;
  static void turn(Register (&rows)[kSquare]) { transpose_registers(rows); }
  static void transpose(const float* from, int64_t from_stride, float* to, int64_t to_stride) {
    __m256 r[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(from + i * from_stride);
    turn(r);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) _mm256_storeu_ps(to + i * to_stride, r[i]);
  }

  static float sum(Register v) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
};

}  // namespace
}  // namespace tersor::cpu
