#include <immintrin.h>

#include "cpu/sparse/csr_sddmm_tile.h"
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
  static Register multiply(Register a, Register b) { return _mm512_mul_ps(a, b); }
  static void add_sums(float* to, Register a, Register b, Register c, Register d) {
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    const __m512 low = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd)));
    const __m512 high = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd)));
    const __m512 quarters = _mm512_add_ps(low, high);
    const __m256 halves = _mm256_add_ps(_mm512_castps512_ps256(quarters), _mm512_extractf32x8_ps(quarters, 1));
    const __m128 sums = _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
    _mm_storeu_ps(to, _mm_add_ps(_mm_loadu_ps(to), sums));
  }
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

void csr_sddmm_avx512(const CsrGroup* groups, int64_t count, const uint8_t* data, const float* x, int64_t planes,
                      int64_t plane_words, const float* dy, int64_t first_slot_at, float* sums) {
  csr_sddmm_block<Avx512>(groups, count, data, x, planes, plane_words, dy, first_slot_at, sums);
}

}  // namespace tersor::cpu
