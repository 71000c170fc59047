// What changes with the instruction set in a product with a CSR weight: the sums. Everything else is csr_gemm.cc.
#pragma once

#include <cstdint>

namespace tersor::cpu {

template <typename Value>
struct Csr {
  const uint32_t* row_offsets;
  const uint32_t* columns;  // < 2^31
  const Value* values;
};

// Activations that a kernel takes side by side, one per vector lane.
inline constexpr int64_t kCsrTile = 16;

// sums[n - begin][i] = sum_k w[n, k] * x[k][i] for weight rows [begin, end) and i < lanes; lanes is 1 or kCsrTile.
// With 16 lanes a nonzero meets one row of x, which is contiguous; with 1 lane x is gathered from.
using CsrKernelF32 = void(const Csr<float>& w, const float* x, int64_t lanes, int64_t begin, int64_t end, float* sums);

// The same in integers: x holds values 0..255.
using CsrKernelI8 = void(const Csr<int8_t>& w, const int32_t* x, int64_t lanes, int64_t begin, int64_t end,
                         int32_t* sums);

CsrKernelF32 csr_f32_scalar, csr_f32_avx2, csr_f32_avx512;
CsrKernelI8 csr_i8_scalar, csr_i8_avx2, csr_i8_avx512;

}  // namespace tersor::cpu
