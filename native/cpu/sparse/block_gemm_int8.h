// Products of 8-bit activations with weights of integers whose zeros come in blocks: the kernels behind the backend's
// `block_gemm_int8`. Sums are exact and everything in floating point is gemm_int8's rule: the same bits on every ISA.
#pragma once

#include "backend/backend.h"
#include "backend/kernels.h"
#include "cpu/epilogue/epilogue.h"
#include "cpu/int8/gemm_int8.h"

namespace tersor::cpu {

inline constexpr int64_t kBlockInt8Rows = 12;  // of x in a tile

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
BlockInt8Kernel block_gemm_int8_neondotprod;
BlockInt8Kernel block_gemm_int8_neoni8mm;
BlockInt8Kernel block_gemm_int8_avx2;
BlockInt8Kernel block_gemm_int8_avx2vnni;
BlockInt8Kernel block_gemm_int8_avx512vnni;

// Some rows of x by the blocks of one panel: `steps` of them, w[step][block_rows][4], of four bits as tersor_blocks has
// it. Columns past block_rows mean nothing.
struct BlockInt8Panel : Int8Panel {
  const uint32_t* columns;  // of each block, in blocks
  int64_t block_rows;       // 16 or 32
};

// The inner loop of one ISA, for up to kBlockInt8Rows rows.
using BlockInt8Tile = void(const BlockInt8Panel&);

// The whole product with the loop of one ISA, whose codes of x may be i8, 128 less than those of u8, like zero points.
tersor_status block_gemm_int8_tiled(tersor_context* context, const BlockInt8Product& product, BlockInt8Tile* tile,
                                    bool signed_codes = false);

// The operation with a kernel of the caller's choice.
tersor_status block_gemm_int8_with(BlockInt8Kernel* kernel, tersor_context* context, const tersor_tensor* x,
                                   const tersor_blocks* w, const tersor_int8_codes* input, const tersor_tensor* scales,
                                   const tersor_tensor* row_sums, const tersor_epilogue* epilogue,
                                   const tersor_tensor* y);

}  // namespace tersor::cpu
