#include <immintrin.h>

#include "cpu/quantized/gemm_quantized_dots.h"
#include "cpu/quantized/split_digits_avx512.h"

namespace tersor::cpu {
namespace {

struct Avx512Vnni {
  using Integers = __m512i;
  using Floats = __m512;
  static constexpr int kWidth = 16, kRegisters = 32;
  static constexpr int kTileRows[kMostDigits] = {8, 4, 4};

  static Floats load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Floats v) { _mm512_storeu_ps(p, v); }
  static Floats broadcast(float v) { return _mm512_set1_ps(v); }
  static Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
  static Floats to_floats(Integers v) { return _mm512_cvtepi32_ps(v); }
  static Floats as_floats(Integers v) { return _mm512_castsi512_ps(v); }
  static Integers as_integers(Floats v) { return _mm512_castps_si512(v); }

  static Integers load_bytes(const void* p) { return _mm512_loadu_si512(p); }
  static void store(uint8_t* p, Integers v) { _mm512_storeu_si512(p, v); }
  // As they are multiplied.
  static Integers codes(Integers bytes) { return bytes; }
  static Integers broadcast(int32_t v) { return _mm512_set1_epi32(v); }
  // By hand: of many at once, gcc 12 loads the numbers first, and what copies them then takes the multipliers' port.
  static Integers broadcast_from(const int32_t* p) {
    Integers v;
    __asm__("vpbroadcastd %1, %0" : "=v"(v) : "m"(*p));
    return v;
  }
  static Integers widen(const int16_t* p) {
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Integers add(Integers a, Integers b) { return _mm512_add_epi32(a, b); }
  static Integers multiply_low(Integers a, Integers b) { return _mm512_madd_epi16(a, b); }
  static Integers shift_left_8(Integers v) { return _mm512_slli_epi32(v, 8); }
  static Integers shift_right_8(Integers v) { return _mm512_srai_epi32(v, 8); }
  static Integers shift_right(Integers v, int bits) { return _mm512_srli_epi16(v, static_cast<unsigned>(bits)); }
  static Integers masked(Integers v, uint8_t mask) {
    return _mm512_and_si512(v, _mm512_set1_epi8(static_cast<char>(mask)));
  }
  static Integers merged(Integers a, uint8_t a_mask, Integers b, uint8_t b_mask) {
    constexpr int kAndOr = 0xf8;  // the first, or the other two both
    return _mm512_ternarylogic_epi32(masked(a, a_mask), b, _mm512_set1_epi8(static_cast<char>(b_mask)), kAndOr);
  }
  static Integers repeat_16(const uint8_t* p) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  // Numbers below 16.
  static Integers look_up(Integers table, Integers numbers) { return _mm512_shuffle_epi8(table, numbers); }

  // By hand: gcc 12 copies and spills the accumulators of the intrinsic.
  static void multiply_add(Integers& sum, Integers codes, Integers x) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(x));
  }
  static void pin(Integers& a, Integers& b) { __asm__ volatile("" : "+v"(a), "+v"(b)); }

  static Integers round(Floats v) { return _mm512_cvtps_epi32(v); }
  // Numbers within int8.
  static void store_bytes(int8_t* p, Integers a, Integers b, Integers c, Integers d) {
    store_packed(p, _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d)));
  }
  static void store_low_bytes(int8_t* p, Integers a, Integers b, Integers c, Integers d) {
    const __m512i low = _mm512_set1_epi32(0xff);
    store_packed(p, _mm512_packus_epi16(_mm512_packus_epi32(_mm512_and_si512(a, low), _mm512_and_si512(b, low)),
                                        _mm512_packus_epi32(_mm512_and_si512(c, low), _mm512_and_si512(d, low))));
  }
  static Integers ones() { return _mm512_set1_epi8(1); }
  static __mmask16 first_lanes(int64_t count) { return static_cast<__mmask16>((1u << count) - 1); }
  static Integers load_lanes(const void* p, __mmask16 lanes) { return _mm512_maskz_loadu_epi32(lanes, p); }
  static void store_lanes(int32_t* p, __mmask16 lanes, Integers v) { _mm512_mask_storeu_epi32(p, lanes, v); }
  static int32_t largest_magnitude(const float* x, int64_t count) {
    __m512i largest = _mm512_setzero_si512();
    for (int64_t k = 0; k < count; k += 16) {
      largest = _mm512_max_epi32(largest, _mm512_castps_si512(_mm512_abs_ps(_mm512_loadu_ps(x + k))));
    }
    return _mm512_reduce_max_epi32(largest);
  }

 private:
  // Packing works in quarters of a register: four lanes of each source in turn.
  static void store_packed(int8_t* p, Integers v) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_storeu_si512(p, _mm512_permutexvar_epi32(order, v));
  }
};

// Prefetching pays where the codes come from beyond L2.
constexpr int64_t kAhead = 2048;
// Up to so many rows of x, by digits, codes are not passed through L1 as bytes. More rows of three digits would leave
// no registers for taking codes apart.
constexpr int kPackedRows[kMostDigits] = {4, 4, 2};

// Of 4-bit codes, half 0 is left with half 1 in it, to be subtracted as a whole: one operation less for 64 bytes.
template <int kBits>
constexpr bool kBothInFirst = kBits == 4;

template <int kBits, bool kCodebook>
TERSOR_INLINE void bytes_in_place(const uint8_t* lines, int step, __m512i codebook, __m512i (&out)[2]) {
  if constexpr (kCodebook) {
    bytes_of<Avx512Vnni, kBits>(lines, 0, step, out);
    look_up<Avx512Vnni, kBits>(codebook, out);
  } else if constexpr (kBothInFirst<kBits>) {
    out[0] = _mm512_loadu_si512(lines + step * 64);
    out[1] = Avx512Vnni::masked(out[0], 0xf0);
  } else {
    bytes_of<Avx512Vnni, kBits>(lines, 0, step, out);
  }
}

// What codes are multiplied as.
enum class Decoding { shared_zero, zeros, codebook };

// With few rows, more sets of accumulators keep the multipliers' latency covered.
template <int kBits, int kDigits, int kRows, Decoding kDecoding>
void multiply_packed_tile(const DigitVariant& variant, const Span& span, const uint8_t* block, const SplitTile& x,
                          const TileSums& to) {
  constexpr bool kCodebook = kDecoding == Decoding::codebook, kSharedZero = kDecoding != Decoding::zeros;
  constexpr bool kFirstHasBoth = kBothInFirst<kBits> && !kCodebook;
  const __m512i codebook = kCodebook ? Avx512Vnni::repeat_16(variant.codebook) : _mm512_setzero_si512();
  constexpr int kSums = kRows * kDigits, kSets = kSums <= 2 ? 4 : kSums <= 4 ? 2 : 1;
  const int64_t blocks = span.blocks;
  alignas(64) float partial[kRows][kTileColumns];
  if (blocks > 1) clear<Avx512Vnni, kRows>(partial);
  const int8_t* digits = x.digits;
  const int32_t* starts = x.starts;
  for (int64_t i = 0; i < blocks; ++i, starts += x.start_stride) {
    __m512i sums[kSets][kSums][2];
    __m512i zeros[2] = {};
    if constexpr (!kSharedZero) {
      const auto* negated = reinterpret_cast<const int16_t*>(block + kTileColumns * 4);
      zeros[0] = Avx512Vnni::widen(negated);
      // Keeps the high half 0.
      zeros[1] = Avx512Vnni::widen(negated + 16);
      const __m512i large = _mm512_and_si512(_mm512_slli_epi32(zeros[1], kBits), _mm512_set1_epi32(0xffff));
      zeros[1] = large;
    }
#pragma GCC unroll 16
    for (int r = 0; r < kSums; ++r) {
      if constexpr (kSharedZero) {
        sums[0][r][0] = Avx512Vnni::broadcast_from(starts + 2 * r);
        sums[0][r][1] = Avx512Vnni::broadcast_from(starts + 2 * r + 1);
      } else {
        const __m512i sum = _mm512_set1_epi32(starts[2 * r]);
        sums[0][r][0] = _mm512_madd_epi16(zeros[0], sum);
        sums[0][r][1] = _mm512_madd_epi16(zeros[1], sum);
      }
      if constexpr (kFirstHasBoth) sums[0][r][0] = _mm512_add_epi32(sums[0][r][0], sums[0][r][1]);
#pragma GCC unroll 4
      for (int set = 1; set < kSets; ++set) sums[set][r][0] = sums[set][r][1] = _mm512_setzero_si512();
    }
#pragma GCC unroll 4
    for (int set = 0; set < kSets; ++set) {
#pragma GCC unroll 16
      for (int r = 0; r < kSums; ++r) Avx512Vnni::pin(sums[set][r][0], sums[set][r][1]);
    }
    const int64_t padded = padded_depth(span.depth_of(i));
    const uint8_t* lines = block + kBlockHeader;
#pragma GCC unroll 1
    for (int64_t k = 0; k < padded; k += 16, lines += 64 * kBits, digits += kSums * 16) {
#pragma GCC unroll 4
      for (int line = 0; line < kBits; ++line) __builtin_prefetch(lines + line * 64 + kAhead);
#pragma GCC unroll 4
      for (int step = 0; step < 4; ++step) {
        __m512i bytes[2];
        bytes_in_place<kBits, kCodebook>(lines, step, codebook, bytes);
#pragma GCC unroll 16
        for (int r = 0; r < kSums; ++r) {
          const __m512i four = four_bytes<Avx512Vnni>(digits + (step * kSums + r) * 4);
          Avx512Vnni::multiply_add(sums[step % kSets][r][0], bytes[0], four);
          Avx512Vnni::multiply_add(sums[step % kSets][r][1], bytes[1], four);
        }
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < kSums; ++r) {
#pragma GCC unroll 4
      for (int set = 1; set < kSets; ++set) {
        sums[0][r][0] = _mm512_add_epi32(sums[0][r][0], sums[set][r][0]);
        sums[0][r][1] = _mm512_add_epi32(sums[0][r][1], sums[set][r][1]);
      }
      Avx512Vnni::pin(sums[0][r][0], sums[0][r][1]);
      if constexpr (kFirstHasBoth) sums[0][r][0] = _mm512_sub_epi32(sums[0][r][0], sums[0][r][1]);
    }
    __asm__ volatile("" ::: "memory");
    const auto* scales = reinterpret_cast<const float*>(block);
    if (blocks == 1) {
      return add_whole<Avx512Vnni, kDigits, kRows>(sums[0], x.float_sums, scales, x.scales, 0, to.out, to.from);
    }
    add_block<Avx512Vnni, kDigits, kRows>(sums[0], scales, partial);
    block = lines;
  }
  add_span<Avx512Vnni, kRows>(partial, x.scales, 0, to.out, to.from);
}

template <int kBits, int kDigits, int kRows>
void multiply_packed_rows(const DigitVariant& variant, const Span& span, const uint8_t* blocks, const SplitTile& x,
                          int64_t rows, const TileSums& to) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return multiply_packed_rows<kBits, kDigits, kRows - 1>(variant, span, blocks, x, rows, to);
  }
  if constexpr (kBits > 1 && kDigits == 1) {
    if (variant.codebook != nullptr) {
      return multiply_packed_tile<kBits, 1, kRows, Decoding::codebook>(variant, span, blocks, x, to);
    }
  }
  if (variant.shared_zero) {
    return multiply_packed_tile<kBits, kDigits, kRows, Decoding::shared_zero>(variant, span, blocks, x, to);
  }
  multiply_packed_tile<kBits, kDigits, kRows, Decoding::zeros>(variant, span, blocks, x, to);
}

template <int kBits>
void multiply_packed_bits(const DigitVariant& variant, const Span& span, const uint8_t* blocks, const SplitTile& x,
                          int64_t rows, const TileSums& to) {
  if (variant.digits == 1) return multiply_packed_rows<kBits, 1, kPackedRows[0]>(variant, span, blocks, x, rows, to);
  if (variant.digits == 2) return multiply_packed_rows<kBits, 2, kPackedRows[1]>(variant, span, blocks, x, rows, to);
  multiply_packed_rows<kBits, 3, kPackedRows[2]>(variant, span, blocks, x, rows, to);
}

void multiply_packed(const DigitVariant& variant, const Span& span, const uint8_t* blocks, const SplitTile& x,
                     int64_t rows, const TileSums& to) {
  switch (variant.bits) {
    case 1:
      return multiply_packed_bits<1>(variant, span, blocks, x, rows, to);
    case 2:
      return multiply_packed_bits<2>(variant, span, blocks, x, rows, to);
    case 3:
      return multiply_packed_bits<3>(variant, span, blocks, x, rows, to);
    default:
      return multiply_packed_bits<4>(variant, span, blocks, x, rows, to);
  }
}

constexpr DigitKernels kKernels = {
    .tile_rows = {Avx512Vnni::kTileRows[0], Avx512Vnni::kTileRows[1], Avx512Vnni::kTileRows[2]},
    .packed_rows = {kPackedRows[0], kPackedRows[1], kPackedRows[2]},
    .split = split_avx512<Avx512Vnni>,
    .widen = widen<Avx512Vnni>,
    .multiply = multiply<Avx512Vnni>,
    .multiply_packed = multiply_packed,
};

}  // namespace

tersor_status gemm_quantized_avx512vnni(tersor_context* context, const QuantizedProduct& product) {
  return gemm_quantized_digits(context, product, kKernels, gemm_quantized_avx512);
}

}  // namespace tersor::cpu
