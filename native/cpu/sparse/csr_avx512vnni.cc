#include <immintrin.h>

#include "cpu/sparse/csr_tile.h"

namespace tersor::cpu {
namespace {

struct Vnni {
  using Word = int32_t;
  using Register = __m512i;
  static constexpr int kLanes = 16, kSums = 16;

  static Register load(const int32_t* p) { return _mm512_loadu_si512(p); }
  static void store(int32_t* p, Register r) { _mm512_storeu_si512(p, r); }
  static Register load_quad(const int32_t* p) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Register splat(Register quad, int i) {
    switch (i) {
      case 0:
        return _mm512_shuffle_epi32(quad, _MM_PERM_AAAA);
      case 1:
        return _mm512_shuffle_epi32(quad, _MM_PERM_BBBB);
      case 2:
        return _mm512_shuffle_epi32(quad, _MM_PERM_CCCC);
      default:
        return _mm512_shuffle_epi32(quad, _MM_PERM_DDDD);
    }
  }
  // By hand: gcc 12 copies and spills the accumulators of _mm512_dpbusd_epi32.
  static Register multiply_add(Register sum, Register x, Register w) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
    return sum;
  }
  static Register gather(const int32_t* x, const uint8_t* offsets) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(offsets));
    return _mm512_i32gather_epi32(_mm512_srli_epi32(_mm512_cvtepu16_epi32(bytes), 6), x, 4);
  }
};

}  // namespace

void csr_i8_avx512vnni(const CsrGroup* groups, int64_t count, const uint8_t* data, const int32_t* x, int64_t planes,
                       int64_t plane_words, int32_t* sums) {
  csr_block<Vnni>(groups, count, data, x, planes, plane_words, sums);
}

}  // namespace tersor::cpu
