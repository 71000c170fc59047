// Vectors of NEON; see vector_scalar.h for what the members mean. What differs from what compilers make of the baseline
// on the same machine is that multiply_add is one instruction.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "cpu/vector/transpose_neon.h"

namespace tersor::cpu {
namespace {

struct NeonVector {
  static constexpr int kWidth = 4, kSmallRows = 8;
  using Register = float32x4_t;
  using Integers [[gnu::vector_size(16)]] = int32_t;

  static Register all(float value) { return vdupq_n_f32(value); }
  static Register load(const float* p) { return vld1q_f32(p); }
  // By hand: a memcpy of any length is a call, which registers do not outlive.
  static Register load(const float* p, int count) {
    if (count == kWidth) return vld1q_f32(p);
    float32x2_t low = vdup_n_f32(0.0f), high = low;
    if (count >= 2) low = vld1_f32(p);
    if (count == 1) low = vld1_lane_f32(p, low, 0);
    if (count == 3) high = vld1_lane_f32(p + 2, high, 0);
    return vcombine_f32(low, high);
  }
  static void store(float* p, Register v) { vst1q_f32(p, v); }
  static void store(float* p, Register v, int count) {
    if (count == kWidth) return vst1q_f32(p, v);
    if (count >= 2) vst1_f32(p, vget_low_f32(v));
    if (count == 1) vst1q_lane_f32(p, v, 0);
    if (count == 3) vst1q_lane_f32(p + 2, v, 2);
  }

  static Register multiply_add(Register a, Register b, Register c) { return vfmaq_f32(c, a, b); }
  static Register max(Register a, Register b) { return a > b ? a : b; }
  static Register sqrt(Register v) { return vsqrtq_f32(v); }
  static constexpr int kSquare = 4;
  static void turn(Register (&rows)[kSquare]) { transpose_registers(rows); }
  static void transpose(const float* from, int64_t from_stride, float* to, int64_t to_stride) {
    float32x4_t r[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) r[i] = vld1q_f32(from + i * from_stride);
    turn(r);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) vst1q_f32(to + i * to_stride, r[i]);
  }

  static float sum(Register v) { return (v[0] + v[2]) + (v[1] + v[3]); }
};

}  // namespace
}  // namespace tersor::cpu
