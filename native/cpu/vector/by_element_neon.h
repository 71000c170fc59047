// Multiplication by one lane of a register, which NEON does without spreading the lane first. Anonymous, because every
// file that includes it compiles it for its own ISA.
#pragma once

#include <arm_neon.h>

#include <type_traits>
#include <utility>

namespace tersor::cpu {
namespace {

// body(constant) for constants 0 to kCount - 1: instructions have the number of a lane in them.
template <int kCount, typename Body>
[[gnu::always_inline]] inline void for_constants(Body&& body) {
  const auto expand = [&]<int... kIndices>(std::integer_sequence<int, kIndices...>) __attribute__((always_inline)) {
    (body(std::integral_constant<int, kIndices>{}), ...);
  };
  expand(std::make_integer_sequence<int, kCount>{});
}

// What tiles over vectors want of one, and multiply_add by lane kLane of `lanes`.
struct NeonF32 {
  using Number = float;
  using Register = float32x4_t;
  static constexpr int kWidth = 4;
  static Register zero() { return vdupq_n_f32(0.0f); }
  static Register load(const float* p) { return vld1q_f32(p); }
  static void store(float* p, Register v) { vst1q_f32(p, v); }
  static Register broadcast(const float* p) { return vld1q_dup_f32(p); }
  static Register add(Register a, Register b) { return vaddq_f32(a, b); }
  static Register subtract(Register a, Register b) { return vsubq_f32(a, b); }
  static Register multiply_add(Register a, Register b, Register c) { return vfmaq_f32(c, a, b); }
  template <int kLane>
  [[gnu::always_inline]] static Register multiply_add_lane(Register a, Register lanes, Register c) {
    return vfmaq_laneq_f32(c, a, lanes, kLane);
  }
};

struct NeonF64 {
  using Number = double;
  using Register = float64x2_t;
  static constexpr int kWidth = 2;
  static Register zero() { return vdupq_n_f64(0.0); }
  static Register load(const double* p) { return vld1q_f64(p); }
  static void store(double* p, Register v) { vst1q_f64(p, v); }
  static Register broadcast(const double* p) { return vld1q_dup_f64(p); }
  static Register subtract(Register a, Register b) { return vsubq_f64(a, b); }
  static Register multiply_add(Register a, Register b, Register c) { return vfmaq_f64(c, a, b); }
  template <int kLane>
  [[gnu::always_inline]] static Register multiply_add_lane(Register a, Register lanes, Register c) {
    return vfmaq_laneq_f64(c, a, lanes, kLane);
  }
};

}  // namespace
}  // namespace tersor::cpu
