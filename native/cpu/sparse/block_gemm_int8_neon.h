// What block_gemm_int8_tile.h wants to know of NEON, but for the multiplication, which is each file's own. Anonymous,
// so that each file that includes it has its own code for its own ISA.
#pragma once

#include <arm_neon.h>

#include "cpu/int8/int4_neon.h"
#include "cpu/sparse/block_gemm_int8_tile.h"

namespace tersor::cpu {
namespace {

struct NeonBlocks {
  using Register = int32x4_t;
  using Bytes = int8x16_t;
  using Weight = int8x16_t;
  static constexpr int kWidth = 4;
  static constexpr int kRows[] = {3, 4};  // which leaves room for taking four bits apart
  static Register load(const int32_t* p) { return vld1q_s32(p); }
  static void store(int32_t* p, Register v) { vst1q_s32(p, v); }
  template <int kBits>
  static void integers(const uint8_t* from, Bytes (&values)[8 / kBits]) {
    // Not before their turn: gcc 12 would take registers for them from the sums.
    __asm__ volatile("" ::: "memory");
    load_integers<kBits>(from, values);
  }
  static Weight weight(Bytes w) { return w; }
  // Four bytes in every lane.
  static Register spread(const uint8_t* p) { return vld1q_dup_s32(reinterpret_cast<const int32_t*>(p)); }
};

}  // namespace
}  // namespace tersor::cpu
