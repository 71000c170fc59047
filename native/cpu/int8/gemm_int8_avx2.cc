// Exact without vpdpbusd: vpmaddubsw would saturate at 2 * 255 * 128, so bytes are widened to 16 bits and multiplied by
// vpmaddwd, whose pairs stay below 2^17. A lane's bytes k and k + 2 are multiplied together, then k + 1 and k + 3,
// which takes shifts and no shuffles.
#include <immintrin.h>

#include <cstring>

#include "cpu/int8/gemm_int8.h"
#include "cpu/int8/int8_panel.h"

namespace tersor::cpu {
namespace {

constexpr int kRows = 2, kVectors = 4;  // of 8 columns

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
  const __m256i low_bytes = _mm256_set1_epi16(0xff);
  for (int64_t step = 0; step < p.steps; ++step) {
    const int8_t* w = p.w + step * kInt8StepBytes;
    __m256i even[kTileRows], odd[kTileRows];
#pragma GCC unroll 2
    for (int i = 0; i < kTileRows; ++i) {
      int32_t four;
      std::memcpy(&four, p.x + i * p.x_stride + step * kInt8Depth, 4);
      const __m256i x = _mm256_set1_epi32(four);
      even[i] = _mm256_and_si256(x, low_bytes);
      odd[i] = _mm256_srli_epi16(x, 8);
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + v * 32));
      const __m256i w_even = _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), w_odd = _mm256_srai_epi16(bytes, 8);
#pragma GCC unroll 2
      for (int i = 0; i < kTileRows; ++i) {
        sums[i][v] = _mm256_add_epi32(sums[i][v], _mm256_madd_epi16(even[i], w_even));
        sums[i][v] = _mm256_add_epi32(sums[i][v], _mm256_madd_epi16(odd[i], w_odd));
      }
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
  multiply_rows<kRows>(p);
}

}  // namespace

tersor_status gemm_int8_avx2(tersor_context* context, const Int8Product& product) {
  return gemm_int8_tiles(context, product, {.rows = kRows, .multiply = multiply});
}

}  // namespace tersor::cpu
