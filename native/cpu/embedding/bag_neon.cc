#include <arm_neon.h>

#include <cstring>

#include "cpu/embedding/bag_tile.h"

namespace tersor::cpu {
namespace {

struct Neon {
  using Floats = float32x4_t;
  using Words = uint32x4_t;  // a byte each
  static constexpr int kLanes = 4, kWide = 16;

  static Floats zero() { return vdupq_n_f32(0.0f); }
  static Floats broadcast(float x) { return vdupq_n_f32(x); }
  static Floats broadcast_at(const uint8_t* p) {
    float x;
    std::memcpy(&x, p, sizeof x);
    return vdupq_n_f32(x);
  }
  static Floats add(Floats a, Floats b) { return vaddq_f32(a, b); }
  static Floats multiply(Floats a, Floats b) { return vmulq_f32(a, b); }
  static Floats divide(Floats a, Floats b) { return vdivq_f32(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }
  // NaN wins.
  static Floats larger(Floats x, Floats largest) { return vmaxq_f32(x, largest); }

  template <bool kTail>
  static Words codes(const uint8_t* p, int64_t count) {
    uint32_t bytes = 0;
    std::memcpy(&bytes, p, kTail ? size_of(count, 1) : sizeof bytes);
    const uint8x8_t eight = vcreate_u8(bytes);
    return vmovl_u16(vget_low_u16(vmovl_u8(eight)));
  }

  template <int kBits, int kField>
  static Floats field(Words words) {
    if constexpr (kBits == 8) return vcvtq_f32_u32(words);
    const Words shifted = kField == 0 ? words : words >> (kField * kBits);
    return vcvtq_f32_u32(vandq_u32(shifted, vdupq_n_u32((1u << kBits) - 1)));
  }

  template <BagFormat kFormat, bool kTail>
  static Floats numbers(const uint8_t* p, int64_t count) {
    constexpr int kBytes = element_bits(kFormat) / 8;
    uint8_t bytes[kLanes * kBytes];
    if constexpr (kTail) {
      std::memset(bytes, 0, sizeof bytes);
      std::memcpy(bytes, p, size_of(count, kBytes));
      p = bytes;
    }
    if constexpr (kFormat == BagFormat::f32) return vreinterpretq_f32_u8(vld1q_u8(p));
    if constexpr (kFormat == BagFormat::f16) return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
    return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vreinterpret_u16_u8(vld1_u8(p))), 16));
  }

  // a0 b0 a1 b1 ...: the first half in a, the second in b.
  static void interleave(Floats& a, Floats& b) {
    const Floats first = vzip1q_f32(a, b);
    b = vzip2q_f32(a, b);
    a = first;
  }

  static void store(float* p, Floats x) { vst1q_f32(p, x); }
  static void store(float* p, Floats x, int64_t count) { std::memcpy(p, &x, size_of(count, sizeof(float))); }

 private:
  // Of so many lanes, which may be fewer than none.
  static size_t size_of(int64_t count, size_t size) {
    return static_cast<size_t>(std::clamp<int64_t>(count, 0, kLanes)) * size;
  }
};

}  // namespace

void bag_f32_neon(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Neon, BagFormat::f32>::run(table, bags, first, last, y);
}
void bag_f16_neon(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Neon, BagFormat::f16>::run(table, bags, first, last, y);
}
void bag_bf16_neon(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Neon, BagFormat::bf16>::run(table, bags, first, last, y);
}
void bag_int8_neon(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Neon, BagFormat::int8>::run(table, bags, first, last, y);
}
void bag_int4_neon(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Neon, BagFormat::int4>::run(table, bags, first, last, y);
}
void bag_int2_neon(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Neon, BagFormat::int2>::run(table, bags, first, last, y);
}

}  // namespace tersor::cpu
