// What block_gemm_int8_tile.h wants to know of NEON, but for the multiplication, which is each file's own. Anonymous,
// so that each file that includes it has its own code for its own ISA.
#pragma once

#include <arm_neon.h>

#include "cpu/sparse/block_gemm_int8_tile.h"

namespace tersor::cpu {
namespace {

struct NeonBlocks {
  using Register = int32x4_t;
  using Weight = int8x16_t;
  static constexpr int kWidth = 4;
  static constexpr int kRows[] = {3, 6};
  static Register load(const int32_t* p) { return vld1q_s32(p); }
  static void store(int32_t* p, Register v) { vst1q_s32(p, v); }
  static Weight weight(const int8_t* p) {
    // Not before its turn: gcc 12 would take registers for it from the sums.
    __asm__ volatile("" ::: "memory");
    return vld1q_s8(p);
  }
  // Four bytes in every lane.
  static Register spread(const uint8_t* p) { return vld1q_dup_s32(reinterpret_cast<const int32_t*>(p)); }
};

}  // namespace
}  // namespace tersor::cpu
