#include <immintrin.h>

#include "cpu/sparse/block_gemm_tile.h"

namespace tersor::cpu {
namespace {

struct Vector {
  using Register = __m512;
  static constexpr int kWidth = 16, kRows = 8;
  static Register load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Register v) { _mm512_storeu_ps(p, v); }
  static Register broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm512_fmadd_ps(a, b, c); }
  static void fetch(const float* p) {
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(p + 16), _MM_HINT_T0);
  }
};

}  // namespace

void block_gemm_avx512(const BlockRun& blocks, const float* x, int64_t rows, float* sums) {
  BlockTile<Vector>::multiply(blocks, x, rows, sums);
}

}  // namespace tersor::cpu
