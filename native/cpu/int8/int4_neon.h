// Integers of four bits (int4.h) in registers. Anonymous, because every file that includes it compiles it for its own
// ISA.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace tersor::cpu {
namespace {

// 16 bytes as i8: 16 numbers of 8 bits or, of 4, those of the low halves and then those of the high ones.
template <int kBits>
[[gnu::always_inline]] inline void load_integers(const uint8_t* from, int8x16_t (&numbers)[8 / kBits]) {
  const uint8x16_t bytes = vld1q_u8(from);
  if constexpr (kBits == 8) {
    numbers[0] = vreinterpretq_s8_u8(bytes);
  } else {
    const int8x16_t zero = vdupq_n_s8(8);
    numbers[0] = vsubq_s8(vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15))), zero);
    numbers[1] = vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4)), zero);
  }
}

}  // namespace
}  // namespace tersor::cpu
