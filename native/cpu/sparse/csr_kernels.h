// What changes with the instruction set in a product with a CSR weight: the sums. Everything else is csr_gemm.cc.
#pragma once

#include <cstdint>

#include "cpu/sparse/csr_layout.h"

namespace tersor::cpu {

// Adds the products of one block of a chunk: sums[row][plane][lane] += w[row, unit] * x[plane][unit][lane] for the rows
// of `groups`, with `planes` 1, 2 or 4 of 16 activations each, `plane_words` apart. `data` is where the groups'
// slots_at count from.
//
// planes = 0 is one activation: sums[row] += w[row, unit] * x[unit].
//
// Float sums are formed in the order of the units by fused multiply-adds (scalar: plain ones), so a row's result does
// not depend on the activations beside it.
template <typename Word>
using CsrKernel = void(const CsrGroup* groups, int64_t count, const uint8_t* data, const Word* x, int64_t planes,
                       int64_t plane_words, Word* sums);

using CsrKernelF32 = CsrKernel<float>;
// A word of x is four activations u8, a value four weights i8 for them; sums wrap around as unsigned ones do.
using CsrKernelI8 = CsrKernel<int32_t>;

CsrKernelF32 csr_f32_scalar, csr_f32_avx2, csr_f32_avx512, csr_f32_neon;
CsrKernelI8 csr_i8_scalar, csr_i8_avx2, csr_i8_avx512vnni, csr_i8_neoni8mm;
// The same of values of four bits.
CsrKernelI8 csr_i4_scalar, csr_i4_avx2, csr_i4_avx512vnni;

// The masked outer product of a block: for every slot s and lane l of a group,
//   sums[slot][l] += sum over planes and lanes of dy[row of l][plane][lane] * x[plane][unit of l in s][lane],
// where slots are counted from `first_slot_at`. dy holds `planes` * 16 numbers a row.
using CsrSddmmKernel = void(const CsrGroup* groups, int64_t count, const uint8_t* data, const float* x, int64_t planes,
                            int64_t plane_words, const float* dy, int64_t first_slot_at, float* sums);

CsrSddmmKernel csr_sddmm_scalar, csr_sddmm_avx2, csr_sddmm_avx512, csr_sddmm_neon;

}  // namespace tersor::cpu
