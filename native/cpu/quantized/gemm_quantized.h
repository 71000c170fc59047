// Products with group-quantized weights: the kernels behind the backend's `gemm_quantized`.
#pragma once

#include "backend/backend.h"
#include "backend/kernels.h"
#include "cpu/epilogue/epilogue.h"
#include "cpu/quantized/layout.h"

namespace tersor::cpu {

// y[m, w.rows] = epilogue(x[m, w.columns] * w^T).
struct QuantizedProduct {
  int64_t m;
  const float* x;
  int digits;  // of base 256 that x may be rounded to: 1, 2 or 3
  PackedMatrix w;
  Epilogue epilogue;
  float* y;
};

using QuantizedKernel = tersor_status(tersor_context*, const QuantizedProduct&);

extern const KernelList<QuantizedKernel> gemm_quantized_kernels;

// Codes become f32 weights, a block of a tile at a time, which meet x in f32.
QuantizedKernel gemm_quantized_scalar;
QuantizedKernel gemm_quantized_neon;
QuantizedKernel gemm_quantized_avx2;
QuantizedKernel gemm_quantized_avx512;
// Codes stay integers; x becomes int8 digits. Rows of x that digits cannot stand for go to the kernels above.
QuantizedKernel gemm_quantized_avx2vnni;
QuantizedKernel gemm_quantized_avx512vnni;
QuantizedKernel gemm_quantized_neondotprod;
QuantizedKernel gemm_quantized_neoni8mm;

// The operation with a kernel of the caller's choice.
tersor_status gemm_quantized_with(QuantizedKernel* kernel, tersor_context* context, const tersor_tensor* x,
                                  tersor_input_precision precision, const tersor_quantized* w,
                                  const tersor_epilogue* epilogue, const tersor_tensor* y);
tersor_status multiply_quantized(QuantizedKernel* kernel, tersor_context* context, const tersor_tensor* x,
                                 tersor_input_precision precision, const tersor_quantized* w, const Epilogue& epilogue,
                                 const tersor_tensor* y);

// --- what kernels share ----------------------------------------------------------------------------------------------

// Rows of x per pass over the weight: their sums of one tile stay in L1.
inline constexpr int64_t kPassRows = 128;

// Tiles per chunk of a pass over `rows` rows: some hundred thousand products.
int64_t tile_grain(const QuantizedProduct& product, int64_t rows);

// Writes the epilogue of sums [rows][32], which it may change, into the columns of tile `tile` that there are, from row
// `row` of y on.
void write_tile(const QuantizedProduct& product, int64_t tile, int64_t row, int64_t rows, float* sums);

// What a vector ISA brings to the kernels in f32.
struct FloatTiles {
  // panel[k][32] = the weights of a block.
  void (*expand)(int bits, const uint8_t* block, const float* offsets, int64_t depth, float* panel);
  // The same where codes are numbers of a codebook's values.
  void (*expand_codebook)(int bits, const uint8_t* block, const float* values, int64_t depth, float* panel);
  // sums[i][j] += sum_k x[i * x_stride + k] * panel[k][j], j < 32.
  void (*multiply)(int64_t depth, const float* x, int64_t x_stride, int64_t rows, const float* panel, float* sums);
  // The two at once for at most codebook_rows rows, which do not repay a panel.
  int64_t codebook_rows;
  void (*multiply_codebook)(int bits, const uint8_t* block, const float* values, int64_t depth, const float* x,
                            int64_t x_stride, int64_t rows, float* sums);
};

tersor_status gemm_quantized_float(tersor_context* context, const QuantizedProduct& product, const FloatTiles& tiles);

}  // namespace tersor::cpu
