// Products of 8-bit activations with weights whose zeros come in blocks of i8: the kernels behind the backend's
// `block_gemm_int8`. Sums are exact and everything in floating point is gemm_int8's rule: the same bits on every ISA.
#pragma once

#include "backend/backend.h"
#include "backend/kernels.h"
#include "cpu/epilogue/epilogue.h"
#include "cpu/int8/gemm_int8.h"

namespace tersor::cpu {

inline constexpr int64_t kBlockInt8Tokens = 8;  // rows of x in a register tile

struct BlockInt8Product {
  int64_t m;
  Int8Input x;
  const tersor_blocks* w;
  const int32_t* row_sums;
  const float* scales;
  bool one_scale;
  Epilogue epilogue;
  float* y;
};

using BlockInt8Kernel = tersor_status(tersor_context*, const BlockInt8Product&);

extern const KernelList<BlockInt8Kernel> block_gemm_int8_kernels;

BlockInt8Kernel block_gemm_int8_scalar;
BlockInt8Kernel block_gemm_int8_avx2;
BlockInt8Kernel block_gemm_int8_avx2vnni;
BlockInt8Kernel block_gemm_int8_avx512vnni;

// Some rows of x by consecutive blocks of one panel: `steps` of them, w[step][block_rows][4]. x is laid out
// [column / 4][8][4]; x_stride is not used. Columns past block_rows mean nothing.
struct BlockInt8Panel : Int8Panel {
  const uint32_t* columns;  // of each block, in blocks
  int64_t block_rows;       // 16 or 32
};

// What an ISA brings.
struct BlockInt8Tiles {
  void (*multiply)(const BlockInt8Panel&);
  // to[step][i][4] = from[i * stride + 4 * step ...] of 8 rows for `steps` steps, rounded up to whole 16.
  void (*lay_out)(const uint8_t* from, int64_t stride, int64_t steps, uint8_t* to);
};

// The whole product with the loops of one ISA.
tersor_status block_gemm_int8_tiled(tersor_context* context, const BlockInt8Product& product,
                                    const BlockInt8Tiles& tiles);

// The operation with a kernel of the caller's choice.
tersor_status block_gemm_int8_with(BlockInt8Kernel* kernel, tersor_context* context, const tersor_tensor* x,
                                   const tersor_blocks* w, const tersor_int8_codes* input, const tersor_tensor* scales,
                                   const tersor_tensor* row_sums, const tersor_epilogue* epilogue,
                                   const tersor_tensor* y);

}  // namespace tersor::cpu
