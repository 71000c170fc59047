// Products of 8-bit activations with a packed int8 weight: the kernels behind the backend's `gemm_int8`. Sums
// are exact and everything in floating point is one rule, so every ISA gives the same bits.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "backend/kernels.h"
#include "cpu/compress/encode.h"
#include "cpu/epilogue/epilogue.h"
#include "cpu/int8/nm_layout.h"

namespace tersor::cpu {

// x as the product reads it: codes u8, codes i8 (which are 128 less than the codes that count) or f32 to be coded.
struct Int8Input {
  const void* data;
  tersor_dtype dtype;
  bool dynamic;  // f32 only: a scale and a zero point for each row, from its range
  float scale;
  int32_t zero_point;  // of u8 codes
};

struct Int8Product {
  int64_t m;
  Int8Input x;
  PackedInt8 w;
  const PackedNmInt8* nm;  // what w is when it does not lie there in the dense layout, or null
  const float* scales;
  bool one_scale;
  Epilogue epilogue;
  float* y;  // or null, and then
  uint8_t* codes;
  Encoding encoding;
};

using Int8Kernel = tersor_status(tersor_context*, const Int8Product&);

extern const KernelList<Int8Kernel> gemm_int8_kernels;

Int8Kernel gemm_int8_scalar;
Int8Kernel gemm_int8_neondotprod;
Int8Kernel gemm_int8_neoni8mm;
Int8Kernel gemm_int8_avx2;
Int8Kernel gemm_int8_avx2vnni;
Int8Kernel gemm_int8_avx512vnni;

// Some rows of x by some steps of a tile of w: first sums, products added to them, and then the sums themselves or,
// with the last steps, results.
struct Int8Panel {
  int64_t steps;
  const uint8_t* x;
  int64_t x_stride, rows;
  const int8_t* w;
  int64_t bits = 8;  // of a number of w, or 4 (int4.h)
  // First sums: start[i * start_stride + 0..31] or, with zero points, -zero_points[i] * start[0..31].
  const int32_t* start;
  int64_t start_stride;
  const int32_t* zero_points;
  // Where the sums go [i][32]; null for results y[i * y_stride + 0..31] = sum * factors[0..31] or, with scales of x,
  // sum * (x_scales[i] * factors[0..31]).
  int32_t* sums;
  float* y;
  int64_t y_stride;
  const float *factors, *x_scales;
  // What to prefetch meanwhile: `ahead_lines` (1, 4 or 8; 4 with 4 bits) lines of 64 bytes for every four steps.
  const int8_t* ahead;
  int ahead_lines;
};

// The inner loop of one ISA.
struct Int8Tiles {
  int64_t rows;               // most rows of a panel
  bool signed_codes = false;  // codes of x are i8, 128 less than those of u8, and so are zero points
  bool reads_int4 = false;    // w may be of four bits, when it is read once
  void (*multiply)(const Int8Panel&);
  // The same for an N:M weight that lies as nm_layout.h says with one or two held, or null; for few rows, w eights.
  void (*multiply_nm)(const Int8Panel&, int64_t held) = nullptr;
  int64_t nm_rows = 0;  // most rows of a panel there
};

inline constexpr int64_t kNmChosenRows = 16;
void multiply_nm_avx512vnni(const Int8Panel& panel, int64_t held);

// The whole product with the loops of one ISA.
tersor_status gemm_int8_tiles(tersor_context* context, const Int8Product& product, const Int8Tiles& tiles);

// The whole operation with a kernel of the caller's choice; see backend/backend.h.
tersor_status gemm_int8_with(Int8Kernel* kernel, tersor_context* context, const tersor_tensor* x,
                             const tersor_int8_weight* w, const tersor_int8_codes* input, const tersor_tensor* scales,
                             const tersor_epilogue* epilogue, const tersor_int8_codes* output, const tersor_tensor* y);
tersor_status multiply_int8(Int8Kernel* kernel, tersor_context* context, const tersor_tensor* x,
                            const tersor_int8_weight* w, const tersor_int8_codes* input, const tersor_tensor* scales,
                            const Epilogue& epilogue, const tersor_int8_codes* output, const tersor_tensor* y);

}  // namespace tersor::cpu
