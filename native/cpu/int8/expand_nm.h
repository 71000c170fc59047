// Steps of a packed N:M weight of integers as the dense kernels read them: decoded into L1, they serve many rows of x.
#pragma once

#include "backend/kernels.h"
#include "cpu/int8/nm_layout.h"

namespace tersor::cpu {

// to[count * 8 steps][32][4] from `count` eights of steps with `held` (1, 2 or 4) values for four columns, of 8 bits or
// of 4 (always, where all are held).
using ExpandNmKernel = void(const uint8_t* eights, int64_t count, int64_t held, int64_t bits, int8_t* to);

extern const KernelList<ExpandNmKernel> expand_nm_kernels;

ExpandNmKernel expand_nm_scalar;
ExpandNmKernel expand_nm_neon;
ExpandNmKernel expand_nm_avx2;
ExpandNmKernel expand_nm_avx512;

// How far ahead kernels prefetch.
inline constexpr int64_t kNmInt8AheadBytes = 4096;

// For each mask of four columns, a byte for each: which of the stored values it holds, or 0x80 for none.
inline constexpr uint32_t kNmSources[16] = {0x80808080, 0x80808000, 0x80800080, 0x80800100, 0x80008080, 0x80018000,
                                            0x80010080, 0x80020100, 0x00808080, 0x01808000, 0x01800080, 0x02800100,
                                            0x01008080, 0x02018000, 0x02010080, 0x03020100};

}  // namespace tersor::cpu
