#include <immintrin.h>

#include "cpu/quantized/gemm_quantized_dots.h"

namespace tersor::cpu {
namespace {

struct AvxVnni {
  using Integers = __m256i;
  using Floats = __m256;
  static constexpr int kWidth = 8, kRegisters = 16;
  static constexpr int kTileRows[kMostDigits] = {6, 3, 2};

  static Floats load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Floats v) { _mm256_storeu_ps(p, v); }
  static Floats broadcast(float v) { return _mm256_set1_ps(v); }
  static Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
  static Floats to_floats(Integers v) { return _mm256_cvtepi32_ps(v); }
  static Floats as_floats(Integers v) { return _mm256_castsi256_ps(v); }
  static Integers as_integers(Floats v) { return _mm256_castps_si256(v); }

  static Integers load_bytes(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static void store(uint8_t* p, Integers v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  // As they are multiplied.
  static Integers codes(Integers bytes) { return bytes; }
  static Integers broadcast(int32_t v) { return _mm256_set1_epi32(v); }
  static Integers broadcast_from(const int32_t* p) { return broadcast(*p); }
  static Integers widen(const int16_t* p) {
    return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Integers add(Integers a, Integers b) { return _mm256_add_epi32(a, b); }
  static Integers multiply_low(Integers a, Integers b) { return _mm256_madd_epi16(a, b); }
  static Integers shift_left_8(Integers v) { return _mm256_slli_epi32(v, 8); }
  static Integers shift_right_8(Integers v) { return _mm256_srai_epi32(v, 8); }
  static Integers shift_right(Integers v, int bits) { return _mm256_srli_epi16(v, bits); }
  static Integers masked(Integers v, uint8_t mask) {
    return _mm256_and_si256(v, _mm256_set1_epi8(static_cast<char>(mask)));
  }
  static Integers merged(Integers a, uint8_t a_mask, Integers b, uint8_t b_mask) {
    return _mm256_or_si256(masked(a, a_mask), masked(b, b_mask));
  }
  static Integers repeat_16(const uint8_t* p) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  // Numbers below 16.
  static Integers look_up(Integers table, Integers numbers) { return _mm256_shuffle_epi8(table, numbers); }

  // By hand: gcc 12 copies and spills the accumulators of the intrinsic.
  static void multiply_add(Integers& sum, Integers codes, Integers x) {
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(codes), "x"(x));
  }
  static void pin(Integers& a, Integers& b) { __asm__ volatile("" : "+x"(a), "+x"(b)); }

  static Integers round(Floats v) { return _mm256_cvtps_epi32(v); }
  // Numbers within int8.
  static void store_bytes(int8_t* p, Integers a, Integers b, Integers c, Integers d) {
    store_packed(p, _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d)));
  }
  static void store_low_bytes(int8_t* p, Integers a, Integers b, Integers c, Integers d) {
    const __m256i low = _mm256_set1_epi32(0xff);
    store_packed(p, _mm256_packus_epi16(_mm256_packus_epi32(_mm256_and_si256(a, low), _mm256_and_si256(b, low)),
                                        _mm256_packus_epi32(_mm256_and_si256(c, low), _mm256_and_si256(d, low))));
  }
  static Integers ones() { return _mm256_set1_epi8(1); }
  static Integers first_lanes(int64_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int32_t>(count)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Integers load_lanes(const void* p, Integers lanes) {
    return _mm256_maskload_epi32(static_cast<const int*>(p), lanes);
  }
  static void store_lanes(int32_t* p, Integers lanes, Integers v) { _mm256_maskstore_epi32(p, lanes, v); }
  static int32_t largest_magnitude(const float* x, int64_t count) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i largest = _mm256_setzero_si256();
    for (int64_t k = 0; k < count; k += 8) {
      const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + k));
      largest = _mm256_max_epi32(largest, _mm256_and_si256(values, magnitude));
    }
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return _mm_cvtsi128_si32(four);
  }

 private:
  // Packing works in halves of a register: four lanes of each source in turn.
  static void store_packed(int8_t* p, Integers v) {
    const __m256i ordered = _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), ordered);
  }
};

constexpr DigitKernels kKernels = {
    .tile_rows = {AvxVnni::kTileRows[0], AvxVnni::kTileRows[1], AvxVnni::kTileRows[2]},
    .packed_rows = {},
    .split = split<AvxVnni>,
    .widen = widen<AvxVnni>,
    .multiply = multiply<AvxVnni>,
    .multiply_packed = nullptr,
};

}  // namespace

tersor_status gemm_quantized_avx2vnni(tersor_context* context, const QuantizedProduct& product) {
  return gemm_quantized_digits(context, product, kKernels, gemm_quantized_avx2);
}

}  // namespace tersor::cpu
