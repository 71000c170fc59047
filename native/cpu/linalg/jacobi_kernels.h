// What changes with the instruction set in svd_batched. Declarations only, since vector files include this.
#pragma once

#include <cstdint>

namespace tersor::cpu {

// Columns lie on whole vectors of every instruction set; what is past their end is 0.
inline constexpr int64_t kJacobiLanes = 8;

// Columns shorter than this are made of rounding errors alone, as dependent ones become: no float but 0 is so little.
inline constexpr double kJacobiNothing = 0x1p-400;

// Rotates columns[count][stride] until the dot products of their first `length` numbers are next to nothing, the rest
// of each along with them, columns shorter than kJacobiNothing left out; count <= 64, length and stride multiples of
// kJacobiLanes. False when they never are.
using JacobiKernel = bool(double* columns, int64_t count, int64_t length, int64_t stride);

JacobiKernel jacobi_scalar, jacobi_avx2, jacobi_avx512;

}  // namespace tersor::cpu
