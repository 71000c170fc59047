// What block_gemm_int8_tile.h wants to know of 256-bit vectors, but for the multiplication, which is each file's own.
// Anonymous, so that each file that includes it has its own code for its own ISA.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "cpu/int8/int4_avx2.h"
#include "cpu/sparse/block_gemm_int8_tile.h"

namespace tersor::cpu {
namespace {

struct Ymm {
  using Register = __m256i;
  using Bytes = __m256i;
  static constexpr int kWidth = 8;
  static Register load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static void store(int32_t* p, Register v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  template <int kBits>
  static void integers(const uint8_t* from, Bytes (&values)[8 / kBits]) {
    load_integers<kBits>(from, values);
  }
  // Four bytes in every lane.
  static Register spread(const uint8_t* p) {
    int32_t bytes;
    std::memcpy(&bytes, p, sizeof bytes);
    return _mm256_set1_epi32(bytes);
  }
};

}  // namespace
}  // namespace tersor::cpu
