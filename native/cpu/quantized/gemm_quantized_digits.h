// Products on the int8 unit: x becomes, span by span, integers of one, two or three int8 digits (base 256, balanced),
// which the kernel multiplies by the codes as if they were rows of their own. Sums inside a block are exact, so that
// the error is that of rounding x to 8, 16 or 24 bits of the span's largest magnitude.
#pragma once

#include "cpu/quantized/gemm_quantized.h"

namespace tersor::cpu {

inline constexpr int kMostDigits = 3;
inline constexpr int64_t kMostTileDigits = 12;  // rows of x in a register tile times their digits

// Sums of one digit that start from here are floats by their bits, 1.5 * 2^23 more than the sum, while they stay below
// 2^22: converting them costs nothing.
inline constexpr int32_t kFloatStart = 0x4b400000;
inline constexpr float kFloatStartValue = 0x1.8p23f;
inline constexpr int64_t kMostFloatSum = (int64_t{1} << 22) - 1;

// What a row's digits are worth over a span: of columns 0-15 and 16-31, the scale, and what its product with sums that
// start from kFloatStart is too much by, negated (exactly: such scales have two bits less), else 0.
struct RowScale {
  float scale[2], excess[2];
};

// Rows of x over one span, register tile by register tile.
//
// Codes of columns 16-31 arrive at the multiplier 2^bits times too large, where narrow codes lie in a byte; starts and
// scales of those columns take it back. Of a codebook, its values arrive there, rounded to bytes that count from
// kCodebookZero.
struct SplitTile {
  const int8_t* digits;   // for every four k of the padded span: of each row of a tile its digits, lowest first, four
                          // bytes each
  const int32_t* starts;  // pairs of columns 0-15 and 16-31, for each row's digits: -zero_point * sum of the digit over
                          // the block, when groups share the zero point (and kFloatStart, when `float_sums`), else
                          // that sum and 0
  int64_t start_stride;   // from block to block
  const RowScale* scales;  // of each row
  bool float_sums;         // sums come as floats, kFloatStartValue too large

  // After a tile of `rows` rows.
  SplitTile next(int64_t padded, int64_t rows, int digits_of_row) const {
    const int64_t planes = rows * digits_of_row;
    return {digits + padded * planes, starts + planes * 2, start_stride, scales + rows, float_sums};
  }
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
};

// Memory that will be read soon: `multiply` fetches a line for every four k.
struct Ahead {
  const uint8_t* lines;
  int64_t count;
};

// Sums that products are added to: row i of `out` = that of `from` + the product's.
struct TileSums {
  float* out;         // [rows][kTileColumns]
  const float* from;  // the same, or kNoSums before the first product
  int64_t step;       // of `from` by row: kTileColumns, or 0

  TileSums next(int64_t rows) const { return {out + rows * kTileColumns, from + rows * step, step}; }
};

// Of a register tile.
alignas(64) inline constexpr float kNoSums[kMostTileDigits * kTileColumns] = {};

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
  // Adds the products of `rows` rows with a span of 8-bit blocks.
  void (*multiply)(const DigitVariant& variant, const Span& span, const uint8_t* wide, const SplitTile& x, int64_t rows,
                   const Ahead& ahead, const TileSums& sums);
  // The same of at most packed_rows rows with blocks as they are packed; null when packed_rows are 0.
  void (*multiply_packed)(const DigitVariant& variant, const Span& span, const uint8_t* blocks, const SplitTile& x,
                          int64_t rows, const TileSums& sums);
};

// Rows that cannot be split are left to `fallback`, and so is a weight with scales beyond the kernels' reach.
tersor_status gemm_quantized_digits(tersor_context* context, const QuantizedProduct& product,
                                    const DigitKernels& kernels, QuantizedKernel* fallback);

}  // namespace tersor::cpu
