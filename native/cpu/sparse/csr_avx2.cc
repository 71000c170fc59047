#include <immintrin.h>

#include "cpu/int8/int4_avx2.h"
#include "cpu/sparse/csr_sddmm_tile.h"
#include "cpu/sparse/csr_tile.h"

namespace tersor::cpu {
namespace {

__m256i indices_of(const uint8_t* offsets) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(offsets));
  return _mm256_srli_epi32(_mm256_cvtepu16_epi32(bytes), 6);
}

struct Avx2 {
  using Word = float;
  using Register = __m256;
  static constexpr int kLanes = 8, kSums = 8;

  static Register load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Register r) { _mm256_storeu_ps(p, r); }
  static Register load_quad(const float* p) { return _mm256_broadcast_ps(reinterpret_cast<const __m128*>(p)); }
  static Register splat(Register quad, int i) {
    switch (i) {
      case 0:
        return _mm256_permute_ps(quad, 0x00);
      case 1:
        return _mm256_permute_ps(quad, 0x55);
      case 2:
        return _mm256_permute_ps(quad, 0xaa);
      default:
        return _mm256_permute_ps(quad, 0xff);
    }
  }
  static Register multiply_add(Register sum, Register x, Register w) { return _mm256_fmadd_ps(x, w, sum); }
  static Register multiply(Register a, Register b) { return _mm256_mul_ps(a, b); }
  static void add_sums(float* to, Register a, Register b, Register c, Register d) {
    const __m256 halves = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    const __m128 sums = _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
    _mm_storeu_ps(to, _mm_add_ps(_mm_loadu_ps(to), sums));
  }
  static Register gather(const float* x, const uint8_t* offsets) {
    return _mm256_i32gather_ps(x, indices_of(offsets), 4);
  }
};

// Even and odd bytes apart, widened to 16 bits: vpmaddubsw would saturate, vpmaddwd cannot (2 * 255 * 128 < 2^31).
struct Avx2Int8 {
  using Word = int32_t;
  using Register = __m256i;
  static constexpr int kLanes = 8, kSums = 8;

  static Register load(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store(int32_t* p, Register r) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), r); }
  static Register load_quad(const int32_t* p) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Register splat(Register quad, int i) {
    switch (i) {
      case 0:
        return _mm256_shuffle_epi32(quad, 0x00);
      case 1:
        return _mm256_shuffle_epi32(quad, 0x55);
      case 2:
        return _mm256_shuffle_epi32(quad, 0xaa);
      default:
        return _mm256_shuffle_epi32(quad, 0xff);
    }
  }
  static Register multiply_add(Register sum, Register x, Register w) {
    const __m256i even =
        _mm256_madd_epi16(_mm256_and_si256(x, _mm256_set1_epi16(0xff)), _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8));
    const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(x, 8), _mm256_srai_epi16(w, 8));
    return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
  }
  static Register gather(const int32_t* x, const uint8_t* offsets) {
    return _mm256_i32gather_epi32(x, indices_of(offsets), 4);
  }
};

// Expanded some at a time: from what has just been stored, small parts are loaded with a delay.
struct ShortSlots {
  static constexpr int64_t kBytes = kCsrShortSlotBytes, kTogether = 16;
  static constexpr int kLines = 1;

  static __m256i part(const uint8_t* slot, int p) {
    __m256i values[2];
    load_integers<4>(slot + kCsrSlotValues, values);
    return values[p];
  }

  ShortSlots(const uint8_t* slots, int64_t count) {
    for (int64_t s = 0; s < count; ++s) {
      for (int p = 0; p < 2; ++p) Avx2Int8::store(expanded[s] + p * Avx2Int8::kLanes, part(slots + s * kBytes, p));
    }
  }
  const int32_t* words(int64_t s) const { return expanded[s]; }

  alignas(32) int32_t expanded[kTogether][kCsrLanes];
};

}  // namespace

void csr_i4_avx2(const CsrGroup* groups, int64_t count, const uint8_t* data, const int32_t* x, int64_t planes,
                 int64_t plane_words, int32_t* sums) {
  csr_block<Avx2Int8, ShortSlots>(groups, count, data, x, planes, plane_words, sums);
}

void csr_f32_avx2(const CsrGroup* groups, int64_t count, const uint8_t* data, const float* x, int64_t planes,
                  int64_t plane_words, float* sums) {
  csr_block<Avx2>(groups, count, data, x, planes, plane_words, sums);
}

void csr_i8_avx2(const CsrGroup* groups, int64_t count, const uint8_t* data, const int32_t* x, int64_t planes,
                 int64_t plane_words, int32_t* sums) {
  csr_block<Avx2Int8>(groups, count, data, x, planes, plane_words, sums);
}

void csr_sddmm_avx2(const CsrGroup* groups, int64_t count, const uint8_t* data, const float* x, int64_t planes,
                    int64_t plane_words, const float* dy, int64_t first_slot_at, float* sums) {
  csr_sddmm_block<Avx2>(groups, count, data, x, planes, plane_words, dy, first_slot_at, sums);
}

}  // namespace tersor::cpu
