// Widens to 16 bits before multiplying: vpmaddubsw would saturate, vpmaddwd cannot (2 * 255 * 128 < 2^31).
#include <cstring>

#include "cpu/gemm/gemm_int8.h"
#include "cpu/gemm/gemm_int8_tile.h"

namespace tersor::cpu {
namespace {

struct Avx2 {
  using Register = __m256i;
  using Operand = __m256i;
  static constexpr int kStep = 16;

  static Register zero() { return _mm256_setzero_si256(); }
  static Operand load_x(const uint8_t* p) { return _mm256_cvtepu8_epi16(bytes(p)); }
  static Operand load_w(const int8_t* p) { return _mm256_cvtepi8_epi16(bytes(p)); }
  static Operand load_x(const uint8_t* p, int count) { return _mm256_cvtepu8_epi16(bytes(p, count)); }
  static Operand load_w(const int8_t* p, int count) { return _mm256_cvtepi8_epi16(bytes(p, count)); }
  static Register multiply_add(Register sum, Operand x, Operand w) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(x, w));
  }
  static __m128i sum4(Register a, Register b, Register c, Register d) {
    const __m256i halves = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
  }

 private:
  static __m128i bytes(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static __m128i bytes(const void* p, int count) {
    alignas(16) unsigned char padded[16] = {};
    std::memcpy(padded, p, static_cast<size_t>(count));
    return _mm_load_si128(reinterpret_cast<const __m128i*>(padded));
  }
};

constexpr int kTileRows = 2;

}  // namespace

void int8_dots_avx2(int64_t k, const uint8_t* x, int64_t x_stride, int64_t rows, const int8_t* w, int64_t w_stride,
                    int64_t columns, int32_t* sums, int64_t sums_stride, bool accumulate) {
  Int8Tiles<Avx2, kTileRows>::multiply(k, x, x_stride, rows, w, w_stride, columns, sums, sums_stride, accumulate);
}

}  // namespace tersor::cpu
