#include "cpu/sparse/csr_sddmm_tile.h"
#include "cpu/sparse/csr_tile.h"
#include "cpu/vector/by_element_neon.h"

namespace tersor::cpu {
namespace {

struct Neon : NeonF32 {
  using Word = float;
  // A lane of a register, which need not be spread.
  struct Weight {
    Register quad;
    int lane;
  };
  static constexpr int kLanes = 4, kSums = 16;

  static Register load_quad(const float* p) { return vld1q_f32(p); }
  static Weight splat(Register quad, int i) { return {quad, i}; }
  [[gnu::always_inline]] static Register multiply_add(Register sum, Register x, const Weight& w) {
    switch (w.lane) {
      case 0:
        return vfmaq_laneq_f32(sum, x, w.quad, 0);
      case 1:
        return vfmaq_laneq_f32(sum, x, w.quad, 1);
      case 2:
        return vfmaq_laneq_f32(sum, x, w.quad, 2);
      default:
        return vfmaq_laneq_f32(sum, x, w.quad, 3);
    }
  }
  static Register multiply_add(Register sum, Register x, Register w) { return vfmaq_f32(sum, x, w); }
  static Register multiply(Register a, Register b) { return vmulq_f32(a, b); }
  static void add_sums(float* to, Register a, Register b, Register c, Register d) {
    vst1q_f32(to, vaddq_f32(vld1q_f32(to), vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d))));
  }
  static Register gather(const float* x, const uint8_t* offsets) {
    float words[kLanes];
    gather_words(x, offsets, words);
    return vld1q_f32(words);
  }
};

}  // namespace

void csr_f32_neon(const CsrGroup* groups, int64_t count, const uint8_t* data, const float* x, int64_t planes,
                  int64_t plane_words, float* sums) {
  csr_block<Neon>(groups, count, data, x, planes, plane_words, sums);
}

void csr_sddmm_neon(const CsrGroup* groups, int64_t count, const uint8_t* data, const float* x, int64_t planes,
                    int64_t plane_words, const float* dy, int64_t first_slot_at, float* sums) {
  csr_sddmm_block<Neon>(groups, count, data, x, planes, plane_words, dy, first_slot_at, sums);
}

}  // namespace tersor::cpu
