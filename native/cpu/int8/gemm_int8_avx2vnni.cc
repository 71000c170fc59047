#include <immintrin.h>

#include <cstring>

#include "cpu/int8/gemm_int8.h"
#include "cpu/int8/int8_panel.h"

namespace tersor::cpu {
namespace {

constexpr int kRows = 3, kVectors = 4;  // of 8 columns

// By hand, as with AVX-512: gcc 12 copies the accumulators of the intrinsic.
__m256i multiply_add(__m256i sum, __m256i x, __m256i w) {
  __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w));
  return sum;
}

template <int kTileRows>
void multiply_rows(const Int8Panel& p) {
  __m256i sums[kTileRows][kVectors];
  alignas(32) int32_t memory[kTileRows][kInt8Columns];
  start_panel(p, memory[0]);
  for (int i = 0; i < kTileRows; ++i) {
    for (int v = 0; v < kVectors; ++v) {
      sums[i][v] = _mm256_load_si256(reinterpret_cast<const __m256i*>(memory[i] + v * 8));
    }
  }
#pragma GCC unroll 1
  for (int64_t step = 0; step < p.steps; ++step) {
    const int8_t* w = p.w + step * kInt8StepBytes;
    __m256i x[kTileRows];
#pragma GCC unroll 3
    for (int i = 0; i < kTileRows; ++i) {
      int32_t four;
      std::memcpy(&four, p.x + i * p.x_stride + step * kInt8Depth, 4);
      x[i] = _mm256_set1_epi32(four);
    }
    for (int line = 0; line < p.ahead_lines && step % 4 == 0; ++line) {
      __builtin_prefetch(p.ahead + (step / 4 * p.ahead_lines + line) * 64);
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const __m256i four = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + v * 32));
#pragma GCC unroll 3
      for (int i = 0; i < kTileRows; ++i) sums[i][v] = multiply_add(sums[i][v], x[i], four);
    }
  }
  for (int i = 0; i < kTileRows; ++i) {
    for (int v = 0; v < kVectors; ++v) {
      _mm256_store_si256(reinterpret_cast<__m256i*>(memory[i] + v * 8), sums[i][v]);
    }
  }
  finish_panel(p, memory[0]);
}

void multiply(const Int8Panel& p) {
  if (p.rows == 1) return multiply_rows<1>(p);
  if (p.rows == 2) return multiply_rows<2>(p);
  multiply_rows<kRows>(p);
}

}  // namespace

tersor_status gemm_int8_avx2vnni(tersor_context* context, const Int8Product& product) {
  return gemm_int8_tiles(context, product, {.rows = kRows, .multiply = multiply});
}

}  // namespace tersor::cpu
