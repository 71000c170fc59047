// Vectors of AVX-512; see vector_scalar.h for what the members mean.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "cpu/vector/vector_avx2.h"

namespace tersor::cpu {
namespace {

struct Avx512Vector {
  static constexpr int kWidth = 16, kSmallRows = 12;
  using Register = __m512;
  using Integers [[gnu::vector_size(64)]] = int32_t;

  static __mmask16 mask(int count) { return static_cast<__mmask16>((1u << count) - 1); }
  static Register all(float value) { return _mm512_set1_ps(value); }
  static Register load(const float* p) { return _mm512_loadu_ps(p); }
  static Register load(const float* p, int count) { return _mm512_maskz_loadu_ps(mask(count), p); }
  static void store(float* p, Register v) { _mm512_storeu_ps(p, v); }
  static void store(float* p, Register v, int count) { _mm512_mask_storeu_ps(p, mask(count), v); }

  static Register multiply_add(Register a, Register b, Register c) { return _mm512_fmadd_ps(a, b, c); }
  static Register max(Register a, Register b) { return _mm512_max_ps(a, b); }
  static Register sqrt(Register v) { return _mm512_sqrt_ps(v); }
  static constexpr int kSquare = Avx2Vector::kSquare;
  static void transpose(const float* from, int64_t from_stride, float* to, int64_t to_stride) {
    Avx2Vector::transpose(from, from_stride, to, to_stride);
  }

  static float sum(Register v) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
};

}  // namespace
}  // namespace tersor::cpu
