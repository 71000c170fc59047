#include <arm_neon.h>

#include "cpu/sparse/csr_tile.h"

namespace tersor::cpu {
namespace {

struct NeonI8mm {
  using Word = int32_t;
  using Register = int32x4_t;
  // A lane of a register, which need not be spread.
  struct Weight {
    int8x16_t quad;
    int lane;
  };
  static constexpr int kLanes = 4, kSums = 16;

  static Register load(const int32_t* p) { return vld1q_s32(p); }
  static void store(int32_t* p, Register r) { vst1q_s32(p, r); }
  static Register load_quad(const int32_t* p) { return vld1q_s32(p); }
  static Weight splat(Register quad, int i) { return {vreinterpretq_s8_s32(quad), i}; }
  [[gnu::always_inline]] static Register multiply_add(Register sum, Register x, const Weight& w) {
    const uint8x16_t bytes = vreinterpretq_u8_s32(x);
    switch (w.lane) {
      case 0:
        return vusdotq_laneq_s32(sum, bytes, w.quad, 0);
      case 1:
        return vusdotq_laneq_s32(sum, bytes, w.quad, 1);
      case 2:
        return vusdotq_laneq_s32(sum, bytes, w.quad, 2);
      default:
        return vusdotq_laneq_s32(sum, bytes, w.quad, 3);
    }
  }
  static Register multiply_add(Register sum, Register x, Register w) {
    return vusdotq_s32(sum, vreinterpretq_u8_s32(x), vreinterpretq_s8_s32(w));
  }
  static Register gather(const int32_t* x, const uint8_t* offsets) {
    int32_t words[kLanes];
    gather_words(x, offsets, words);
    return vld1q_s32(words);
  }
};

}  // namespace

void csr_i8_neoni8mm(const CsrGroup* groups, int64_t count, const uint8_t* data, const int32_t* x, int64_t planes,
                     int64_t plane_words, int32_t* sums) {
  csr_block<NeonI8mm>(groups, count, data, x, planes, plane_words, sums);
}

}  // namespace tersor::cpu
