// What gemm_quantized_dots.h wants to know of NEON, but for the multiplication, which is each file's own. Anonymous, so
// that each file that includes it has its own code for its own ISA.
#pragma once

#include "cpu/quantized/gemm_quantized_dots.h"
#include "cpu/vector/vector_neon.h"

namespace tersor::cpu {
namespace {

struct NeonDigits {
  using Integers = int32x4_t;
  using Floats = float32x4_t;
  static constexpr int kWidth = 4, kRegisters = 32;
  static constexpr int kTileRows[kMostDigits] = {8, 4, 4};

  static Floats load(const float* p) { return vld1q_f32(p); }
  static void store(float* p, Floats v) { vst1q_f32(p, v); }
  static Floats broadcast(float v) { return vdupq_n_f32(v); }
  static Floats multiply(Floats a, Floats b) { return vmulq_f32(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }
  static Floats to_floats(Integers v) { return vcvtq_f32_s32(v); }
  static Floats as_floats(Integers v) { return vreinterpretq_f32_s32(v); }
  static Integers as_integers(Floats v) { return vreinterpretq_s32_f32(v); }

  static Integers load_bytes(const void* p) { return vld1q_s32(static_cast<const int32_t*>(p)); }
  static void store(uint8_t* p, Integers v) { vst1q_s32(reinterpret_cast<int32_t*>(p), v); }
  static Integers broadcast(int32_t v) { return vdupq_n_s32(v); }
  static Integers broadcast_from(const int32_t* p) { return vld1q_dup_s32(p); }
  static Integers add(Integers a, Integers b) { return vaddq_s32(a, b); }
  static Integers multiply_low(Integers a, Integers b) { return vmulq_s32(a, b); }
  static Integers shift_left_8(Integers v) { return vshlq_n_s32(v, 8); }
  static Integers shift_right_8(Integers v) { return vshrq_n_s32(v, 8); }
  static Integers shift_right(Integers v, int bits) {
    return vreinterpretq_s32_u16(vreinterpretq_u16_s32(v) >> static_cast<uint16_t>(bits));
  }
  static Integers masked(Integers v, uint8_t mask) { return vandq_s32(v, vreinterpretq_s32_u8(vdupq_n_u8(mask))); }
  static Integers merged(Integers a, uint8_t a_mask, Integers b, uint8_t b_mask) {
    return vorrq_s32(masked(a, a_mask), masked(b, b_mask));
  }
  static Integers repeat_16(const uint8_t* p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
  // Numbers below 16.
  static Integers look_up(Integers table, Integers numbers) {
    return vreinterpretq_s32_u8(vqtbl1q_u8(vreinterpretq_u8_s32(table), vreinterpretq_u8_s32(numbers)));
  }
  static void pin(Integers& a, Integers& b) { __asm__ volatile("" : "+w"(a), "+w"(b)); }

  static Integers round(Floats v) { return vcvtnq_s32_f32(v); }
  // Numbers within int8, whose low bytes are themselves.
  static void store_bytes(int8_t* p, Integers a, Integers b, Integers c, Integers d) { store_low_bytes(p, a, b, c, d); }
  static void store_low_bytes(int8_t* p, Integers a, Integers b, Integers c, Integers d) {
    const int16x8_t low = vmovn_high_s32(vmovn_s32(a), b), high = vmovn_high_s32(vmovn_s32(c), d);
    vst1q_s8(p, vmovn_high_s16(vmovn_s16(low), high));
  }
  static Integers ones() { return vreinterpretq_s32_s8(vdupq_n_s8(1)); }
  static int first_lanes(int64_t count) { return static_cast<int>(count); }
  static Integers load_lanes(const void* p, int lanes) {
    return vreinterpretq_s32_f32(NeonVector::load(static_cast<const float*>(p), lanes));
  }
  static void store_lanes(int32_t* p, int lanes, Integers v) {
    NeonVector::store(reinterpret_cast<float*>(p), vreinterpretq_f32_s32(v), lanes);
  }
  static int32_t largest_magnitude(const float* x, int64_t count) {
    int32x4_t largest = vdupq_n_s32(0);
    for (int64_t k = 0; k < count; k += 4) {
      largest = vmaxq_s32(largest, vreinterpretq_s32_f32(vabsq_f32(vld1q_f32(x + k))));
    }
    return vmaxvq_s32(largest);
  }
};

}  // namespace
}  // namespace tersor::cpu
