// f32 products on the int8 unit: a row of x becomes, block by block, 24-bit integers, and those three int8 digits (base
// 256, balanced), which the kernel multiplies by the codes as if they were rows of their own. Sums inside a block are
// exact, so that the error is that of rounding x to 24 bits of the block's largest magnitude.
#pragma once

#include "cpu/quantized/gemm_quantized.h"

namespace tersor::cpu {

inline constexpr int kDigits = 3;
inline constexpr int64_t kTokens = 4;  // rows of x in a register tile

// x in digits. Per block and tile of at most kTokens rows: for every four k, for each row its digits, lowest first,
// four bytes each.
struct DigitBlock {
  const int8_t* digits;
  const int32_t* sums;  // [rows * 3]: of each digit over the block
  const float* scales;  // [rows]
};

struct DigitTiles {
  // Digits of one row of a block, `stride` bytes apart for consecutive four k; false (and zeros) when the row holds
  // NaN, infinity, or magnitudes that scales in f32 might not reach.
  bool (*split)(const float* x, int64_t depth, int8_t* digits, int64_t stride, int32_t* sums, float* scale);
  // out[i][32] += the block's product with rows [0, rows) of x.
  void (*multiply)(int plane_bits, const uint8_t* block, int64_t padded_depth, const DigitBlock& x, int64_t rows,
                   float* out);
};

// Rows that cannot be split are left to `fallback`.
tersor_status gemm_quantized_digits(tersor_context* context, const QuantizedProduct& product, const DigitTiles& tiles,
                                    QuantizedKernel* fallback);

}  // namespace tersor::cpu
