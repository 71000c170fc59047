#include "cpu/gemm/gemm_int8.h"
#include "cpu/gemm/gemm_int8_tile.h"

namespace tersor::cpu {
namespace {

struct Vnni {
  using Register = __m512i;
  using Operand = __m512i;
  static constexpr int kStep = 64;

  static Register zero() { return _mm512_setzero_si512(); }
  static Operand load_x(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static Operand load_w(const int8_t* p) { return _mm512_loadu_si512(p); }
  static Operand load_x(const uint8_t* p, int count) { return _mm512_maskz_loadu_epi8(mask(count), p); }
  static Operand load_w(const int8_t* p, int count) { return _mm512_maskz_loadu_epi8(mask(count), p); }

  // By hand: gcc 12 copies and spills the accumulators of _mm512_dpbusd_epi32.
  static Register multiply_add(Register sum, Operand x, Operand w) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
    return sum;
  }

  static __m128i sum4(Register a, Register b, Register c, Register d) {
    const __m512i ab = _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x44), _mm512_shuffle_i32x4(a, b, 0xee));
    const __m512i cd = _mm512_add_epi32(_mm512_shuffle_i32x4(c, d, 0x44), _mm512_shuffle_i32x4(c, d, 0xee));
    const __m512i abcd = _mm512_add_epi32(_mm512_shuffle_i32x4(ab, cd, 0x88), _mm512_shuffle_i32x4(ab, cd, 0xdd));
    const __m512i pairs = _mm512_add_epi32(abcd, _mm512_shuffle_epi32(abcd, _MM_PERM_CDAB));
    const __m512i totals = _mm512_add_epi32(pairs, _mm512_shuffle_epi32(pairs, _MM_PERM_BADC));
    const __m512i firsts = _mm512_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
    return _mm512_castsi512_si128(_mm512_permutexvar_epi32(firsts, totals));
  }

 private:
  static __mmask64 mask(int count) { return (uint64_t{1} << count) - 1; }
};

constexpr int kTileRows = 6;

}  // namespace

void int8_dots_avx512vnni(int64_t k, const uint8_t* x, int64_t x_stride, int64_t rows, const int8_t* w,
                          int64_t w_stride, int64_t columns, int32_t* sums, int64_t sums_stride, bool accumulate) {
  Int8Tiles<Vnni, kTileRows>::multiply(k, x, x_stride, rows, w, w_stride, columns, sums, sums_stride, accumulate);
}

}  // namespace tersor::cpu
