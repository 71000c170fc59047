#include <immintrin.h>

#include "cpu/embedding/bag_tile.h"

namespace tersor::cpu {
namespace {

struct Avx512 {
  using Floats = __m512;
  using Words = __m512i;  // a byte each
  static constexpr int kLanes = 16, kWide = 8;

  static Floats zero() { return _mm512_setzero_ps(); }
  static Floats broadcast(float x) { return _mm512_set1_ps(x); }
  static Floats broadcast_at(const uint8_t* p) {
    return _mm512_castsi512_ps(_mm512_set1_epi32(_mm_cvtsi128_si32(_mm_loadu_si32(p))));
  }
  static Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats divide(Floats a, Floats b) { return _mm512_div_ps(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
  // NaN wins.
  static Floats larger(Floats x, Floats largest) {
    return _mm512_mask_mov_ps(_mm512_max_ps(x, largest), _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
  }

  template <bool kTail>
  static Words codes(const uint8_t* p, int64_t count) {
    return _mm512_cvtepu8_epi32(kTail ? _mm_maskz_loadu_epi8(mask(count), p)
                                      : _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }

  // A permutation looks at the low four bits of an index alone, which is all of a code with its neighbours above.
  template <int kBits, int kField>
  static Floats field(Words words) {
    if constexpr (kBits == 8) return _mm512_cvtepi32_ps(words);
    const Words shifted = kField == 0 ? words : _mm512_srli_epi32(words, kField * kBits);
    const Floats values = kBits == 4 ? _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
                                     : _mm512_setr_ps(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
    return _mm512_permutexvar_ps(shifted, values);
  }

  template <BagFormat kFormat, bool kTail>
  static Floats numbers(const uint8_t* p, int64_t count) {
    if constexpr (kFormat == BagFormat::f32) {
      return kTail ? _mm512_maskz_loadu_ps(mask(count), p) : _mm512_loadu_ps(p);
    } else {
      const __m256i halves =
          kTail ? _mm256_maskz_loadu_epi16(mask(count), p) : _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
      if constexpr (kFormat == BagFormat::f16) return _mm512_cvtph_ps(halves);
      return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
    }
  }

  // a0 b0 a1 b1 ...: the first half in a, the second in b.
  static void interleave(Floats& a, Floats& b) {
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const Floats first = _mm512_permutex2var_ps(a, low, b);
    b = _mm512_permutex2var_ps(a, _mm512_add_epi32(low, _mm512_set1_epi32(8)), b);
    a = first;
  }

  static void store(float* p, Floats x) { _mm512_storeu_ps(p, x); }
  static void store(float* p, Floats x, int64_t count) { _mm512_mask_storeu_ps(p, mask(count), x); }

 private:
  static __mmask16 mask(int64_t count) {
    return static_cast<__mmask16>((1u << std::clamp<int64_t>(count, 0, kLanes)) - 1);
  }
};

}  // namespace

void bag_f32_avx512(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Avx512, BagFormat::f32>::run(table, bags, first, last, y);
}
void bag_f16_avx512(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Avx512, BagFormat::f16>::run(table, bags, first, last, y);
}
void bag_bf16_avx512(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Avx512, BagFormat::bf16>::run(table, bags, first, last, y);
}
void bag_int8_avx512(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Avx512, BagFormat::int8>::run(table, bags, first, last, y);
}
void bag_int4_avx512(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Avx512, BagFormat::int4>::run(table, bags, first, last, y);
}
void bag_int2_avx512(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Avx512, BagFormat::int2>::run(table, bags, first, last, y);
}

}  // namespace tersor::cpu
