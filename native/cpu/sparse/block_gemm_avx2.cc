#include <immintrin.h>

#include "cpu/sparse/block_gemm_tile.h"

namespace tersor::cpu {
namespace {

struct Vector {
  using Register = __m256;
  static constexpr int kWidth = 8, kRows = 4;
  static Register load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Register v) { _mm256_storeu_ps(p, v); }
  static Register broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
  static void fetch(const float* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }
};

}  // namespace

void block_gemm_avx2(const BlockRun& blocks, const float* x, int64_t rows, float* sums) {
  BlockTile<Vector>::multiply(blocks, x, rows, sums);
}

}  // namespace tersor::cpu
