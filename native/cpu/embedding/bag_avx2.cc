#include <immintrin.h>

#include <cstring>

#include "cpu/embedding/bag_tile.h"

namespace tersor::cpu {
namespace {

struct Avx2 {
  using Floats = __m256;
  using Words = __m256i;  // a byte each
  static constexpr int kLanes = 8, kWide = 8;

  static Floats zero() { return _mm256_setzero_ps(); }
  static Floats broadcast(float x) { return _mm256_set1_ps(x); }
  static Floats broadcast_at(const uint8_t* p) {
    return _mm256_castsi256_ps(_mm256_set1_epi32(_mm_cvtsi128_si32(_mm_loadu_si32(p))));
  }
  static Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
  static Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static Floats divide(Floats a, Floats b) { return _mm256_div_ps(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
  // NaN wins.
  static Floats larger(Floats x, Floats largest) {
    return _mm256_blendv_ps(_mm256_max_ps(x, largest), x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  }

  template <bool kTail>
  static Words codes(const uint8_t* p, int64_t count) {
    if constexpr (kTail) {
      uint8_t bytes[kLanes] = {};
      copy(bytes, p, count, 1);
      return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)));
    } else {
      return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
    }
  }

  template <int kBits, int kField>
  static Floats field(Words words) {
    if constexpr (kBits == 8) return _mm256_cvtepi32_ps(words);
    const Words shifted = kField == 0 ? words : _mm256_srli_epi32(words, kField * kBits);
    return _mm256_cvtepi32_ps(_mm256_and_si256(shifted, _mm256_set1_epi32((1 << kBits) - 1)));
  }

  template <BagFormat kFormat, bool kTail>
  static Floats numbers(const uint8_t* p, int64_t count) {
    constexpr int kBytes = element_bits(kFormat) / 8;
    uint8_t bytes[kLanes * kBytes];
    if constexpr (kTail) {
      std::memset(bytes, 0, sizeof bytes);
      copy(bytes, p, count, kBytes);
      p = bytes;
    }
    if constexpr (kFormat == BagFormat::f32) return _mm256_loadu_ps(reinterpret_cast<const float*>(p));
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    if constexpr (kFormat == BagFormat::f16) return _mm256_cvtph_ps(halves);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }

  // a0 b0 a1 b1 ...: the first half in a, the second in b.
  static void interleave(Floats& a, Floats& b) {
    const Floats low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
    a = _mm256_permute2f128_ps(low, high, 0x20);
    b = _mm256_permute2f128_ps(low, high, 0x31);
  }

  static void store(float* p, Floats x) { _mm256_storeu_ps(p, x); }
  static void store(float* p, Floats x, int64_t count) {
    float lanes[kLanes];
    _mm256_storeu_ps(lanes, x);
    copy(p, lanes, count, sizeof(float));
  }

 private:
  static void copy(void* to, const void* from, int64_t count, size_t size) {
    if (count > 0) std::memcpy(to, from, static_cast<size_t>(std::min<int64_t>(count, kLanes)) * size);
  }
};

}  // namespace

void bag_f32_avx2(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Avx2, BagFormat::f32>::run(table, bags, first, last, y);
}
void bag_f16_avx2(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Avx2, BagFormat::f16>::run(table, bags, first, last, y);
}
void bag_bf16_avx2(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Avx2, BagFormat::bf16>::run(table, bags, first, last, y);
}
void bag_int8_avx2(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Avx2, BagFormat::int8>::run(table, bags, first, last, y);
}
void bag_int4_avx2(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Avx2, BagFormat::int4>::run(table, bags, first, last, y);
}
void bag_int2_avx2(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y) {
  BagPasses<Avx2, BagFormat::int2>::run(table, bags, first, last, y);
}

}  // namespace tersor::cpu
