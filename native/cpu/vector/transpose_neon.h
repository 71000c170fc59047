// Squares of 4 x 4 words turned in registers (NEON). Anonymous, because every file that includes it compiles it for its
// own ISA.
#pragma once

#include <arm_neon.h>

namespace tersor::cpu {
namespace {

// Rows become columns.
inline void transpose_registers(float32x4_t (&r)[4]) {
  const float32x4x2_t upper = vtrnq_f32(r[0], r[1]), lower = vtrnq_f32(r[2], r[3]);
  r[0] = vcombine_f32(vget_low_f32(upper.val[0]), vget_low_f32(lower.val[0]));
  r[1] = vcombine_f32(vget_low_f32(upper.val[1]), vget_low_f32(lower.val[1]));
  r[2] = vcombine_f32(vget_high_f32(upper.val[0]), vget_high_f32(lower.val[0]));
  r[3] = vcombine_f32(vget_high_f32(upper.val[1]), vget_high_f32(lower.val[1]));
}

}  // namespace
}  // namespace tersor::cpu
