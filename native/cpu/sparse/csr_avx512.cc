#include <immintrin.h>

#include "cpu/sparse/csr_tile.h"

namespace tersor::cpu {
namespace {

struct Avx512 {
  using Word = float;
  using Register = __m512;
  static constexpr int kLanes = 16, kSums = 16;

  static Register load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Register r) { _mm512_storeu_ps(p, r); }
  static Register load_quad(const float* p) { return _mm512_broadcast_f32x4(_mm_loadu_ps(p)); }
  static Register splat(Register quad, int i) {
    switch (i) {
      case 0:
        return _mm512_permute_ps(quad, 0x00);
      case 1:
        return _mm512_permute_ps(quad, 0x55);
      case 2:
        return _mm512_permute_ps(quad, 0xaa);
      default:
        return _mm512_permute_ps(quad, 0xff);
    }
  }
  static Register multiply_add(Register sum, Register x, Register w) { return _mm512_fmadd_ps(x, w, sum); }
  static Register gather(const float* x, const uint8_t* offsets) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(offsets));
    return _mm512_i32gather_ps(_mm512_srli_epi32(_mm512_cvtepu16_epi32(bytes), 6), x, 4);
  }
};

}  // namespace

void csr_f32_avx512(const CsrGroup* groups, int64_t count, const uint8_t* data, const float* x, int64_t planes,
                    int64_t plane_words, float* sums) {
  csr_block<Avx512>(groups, count, data, x, planes, plane_words, sums);
}

}  // namespace tersor::cpu
