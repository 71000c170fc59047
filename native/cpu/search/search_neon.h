// What the NEON kernels share. Anonymous, because every file that includes it compiles it for its own ISA.
#pragma once

#include <arm_neon.h>

#include "cpu/search/search_tile.h"

namespace tersor::cpu {
namespace {

// A bit of each of four lanes.
inline uint32_t bits_of(uint32x4_t lanes) {
  constexpr uint32_t kBits[] = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(lanes, vld1q_u32(kBits)));
}

inline uint8x16_t spread_word(const uint8_t* p) {
  return vreinterpretq_u8_u32(vld1q_dup_u32(reinterpret_cast<const uint32_t*>(p)));
}

struct NeonIntegers {
  using Sum = int32x4_t;
  static constexpr int kVectorBytes = 16;

  static uint32_t finish(Sum sum, const uint8_t* terms, int32_t factor, int32_t limit, int32_t* to) {
    const Sum score = vsubq_s32(vmulq_n_s32(sum, factor), vreinterpretq_s32_u8(vld1q_u8(terms)));
    vst1q_s32(to, score);
    return bits_of(vcgtq_s32(score, vdupq_n_s32(limit)));
  }
};

// What codes are in registers; how they are multiplied is each file's own. The rows of a step are eight registers, or
// sixteen of nibbles, which leave room for the sums of one query.
struct NeonInt8 : NeonIntegers {
  using Rows = int8x16_t;
  using Word = int8x16_t;
  static constexpr int kWordBytes = 4;

  static Sum start(const int32_t*, int64_t) { return vdupq_n_s32(0); }
  static Rows load(const uint8_t* p) { return vreinterpretq_s8_u8(vld1q_u8(p)); }
  static Word spread(const uint8_t* p) { return vreinterpretq_s8_u8(spread_word(p)); }
};

struct NeonInt4 : NeonIntegers {
  struct Rows {
    int8x16_t low, high;
  };
  using Word = Rows;
  static constexpr int kWordBytes = 8;

  static Sum start(const int32_t* sums, int64_t q) { return vdupq_n_s32(-8 * sums[q]); }
  static Rows load(const uint8_t* p) {
    const uint8x16_t bytes = vld1q_u8(p);
    return {vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15))), vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4))};
  }
  static Word spread(const uint8_t* p) {
    return {vreinterpretq_s8_u8(spread_word(p)), vreinterpretq_s8_u8(spread_word(p + 4))};
  }
};

// Of bits that differ.
struct NeonBinary : NeonIntegers {
  using Rows = uint8x16_t;
  using Word = uint8x16_t;
  static constexpr int kWordBytes = 4;

  static Sum start(const int32_t*, int64_t) { return vdupq_n_s32(0); }
  static Rows load(const uint8_t* p) { return vld1q_u8(p); }
  static Word spread(const uint8_t* p) { return spread_word(p); }
};

}  // namespace
}  // namespace tersor::cpu
