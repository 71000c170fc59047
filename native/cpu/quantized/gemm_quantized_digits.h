// Products on the int8 unit: x becomes, span by span, integers of one, two or three int8 digits (base 256, balanced),
// which the kernel multiplies by the codes as if they were rows of their own. Sums inside a block are exact, so that
// the error is that of rounding x to 8, 16 or 24 bits of the span's largest magnitude.
#pragma once

#include "cpu/quantized/gemm_quantized.h"

namespace tersor::cpu {

inline constexpr int kMostDigits = 3;
inline constexpr int64_t kMostTileDigits = 12;  // rows of x in a register tile times their digits

// A register tile's rows of x over one span.
//
// Codes of columns 16-31 arrive at the multiplier 2^bits times too large, where narrow codes lie in a byte; starts and
// scales of those columns take it back. Of a codebook, its values arrive there, rounded to bytes that count from
// kCodebookZero.
struct SplitTile {
  const int8_t* digits;   // for every four k of the padded span: of each row its digits, lowest first, four bytes each
  const int32_t* starts;  // pairs of columns 0-15 and 16-31, for each row's digits: -zero_point * sum of the digit over
                          // the block, when groups share the zero point, else that sum and 0
  int64_t start_stride;   // from block to block
  const float* scales;    // pairs of columns 0-15 and 16-31, for each row
};

// Rows of x from a span's first column on.
struct SplitInput {
  const float* values;
  int64_t stride, rows;
};

// Which of a kernel's variants a product needs.
struct DigitVariant {
  int bits, digits;
  bool shared_zero;
  const uint8_t* codebook;  // bytes [kCodebookSize] that codes are numbers of, or null
  int64_t rows;             // of x, at most `tile_rows` of the digits
  // Memory that will be read soon. `multiply` fetches a line for every four k, this far apart.
  const uint8_t* ahead;
  int64_t ahead_step;
};

// What a vector ISA brings.
struct DigitKernels {
  // By digits - 1.
  int64_t tile_rows[kMostDigits];    // rows of x in a register tile
  int64_t packed_rows[kMostDigits];  // for at most so many rows of x, codes are multiplied as they are packed
  int32_t code_offset = 0;  // what codes are taken less at the multiplier, starts of a shared zero point know of
  // A tile's rows of x over a span: digits in SplitTile's order, sums [block][row][digit] of each over a block, scales
  // [row]. Writes 0 to `good` (and zeros) of a row that holds NaN, infinity, or magnitudes that scales in f32 might not
  // reach, and takes a row that is not good as zeros.
  void (*split)(const SplitInput& x, const Span& span, int digits, int8_t* to, int32_t* sums, float* scales,
                uint8_t* good);
  // A span's blocks as if packed with 8 bits: codes, or the bytes of a codebook that they are numbers of, as bytes.
  void (*widen)(int bits, const Span& span, const uint8_t* blocks, const uint8_t* codebook, uint8_t* wide);
  // out[i][32] += the product of a span of 8-bit blocks.
  void (*multiply)(const DigitVariant& variant, const Span& span, const uint8_t* wide, const SplitTile& x, float* out);
  // The same from blocks as they are packed; null when packed_rows are 0.
  void (*multiply_packed)(const DigitVariant& variant, const Span& span, const uint8_t* blocks, const SplitTile& x,
                          float* out);
};

// Rows that cannot be split are left to `fallback`, and so is a weight with scales beyond the kernels' reach.
tersor_status gemm_quantized_digits(tersor_context* context, const QuantizedProduct& product,
                                    const DigitKernels& kernels, QuantizedKernel* fallback);

}  // namespace tersor::cpu
