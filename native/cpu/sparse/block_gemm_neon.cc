#include "cpu/sparse/block_gemm_tile.h"

namespace tersor::cpu {
namespace {

struct Vector : NeonF32 {
  static constexpr int kRows = 8;
  static void fetch(const float* p) { __builtin_prefetch(p); }
};

}  // namespace

void block_gemm_neon(const BlockRun& blocks, const float* x, int64_t rows, float* sums) {
  BlockTile<Vector>::multiply(blocks, x, rows, sums);
}

}  // namespace tersor::cpu
