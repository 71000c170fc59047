#include <immintrin.h>

#include <cstring>

#include "cpu/quantized/gemm_quantized_digits.h"

namespace tersor::cpu {
namespace {

// Below 0x7f7f7f, the largest number of three balanced digits, by more than the rounding of a scale can add.
constexpr float kLargest = 8355600.0f;
// Magnitudes whose scales and sums stay far inside f32, as bits: 2^-80 and 2^80.
constexpr int kSmallestBits = 47 << 23, kLargestBits = 207 << 23;

__mmask16 lanes(int64_t count) {
  return count >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << count) - 1);
}

// By bits, where infinity and then NaN are the largest: a maximum of floats may lose NaN.
int largest_magnitude(const float* x, int64_t depth) {
  __m512i largest = _mm512_setzero_si512();
  for (int64_t k = 0; k < depth; k += 16) {
    const __m512 values = _mm512_maskz_loadu_ps(lanes(depth - k), x + k);
    largest = _mm512_max_epi32(largest, _mm512_castps_si512(_mm512_abs_ps(values)));
  }
  return _mm512_reduce_max_epi32(largest);
}

bool split(const float* x, int64_t depth, int8_t* digits, int64_t stride, int32_t* sums, float* scale) {
  const int bits = largest_magnitude(x, depth);
  const bool good = bits == 0 || (bits >= kSmallestBits && bits <= kLargestBits);
  alignas(64) int8_t plane[kDigits][kBlockDepth] = {};
  *scale = 0;
  if (good && bits != 0) {
    float largest;
    std::memcpy(&largest, &bits, sizeof largest);
    *scale = largest / kLargest;
    const __m512 inverse = _mm512_set1_ps(kLargest / largest);
    const __m512i half = _mm512_set1_epi32(128);
    for (int64_t k = 0; k < depth; k += 16) {
      const __m512 values = _mm512_maskz_loadu_ps(lanes(depth - k), x + k);
      __m512i rest = _mm512_cvtps_epi32(_mm512_mul_ps(values, inverse));
      for (int d = 0; d < kDigits; ++d) {
        _mm_store_si128(reinterpret_cast<__m128i*>(plane[d] + k), _mm512_cvtepi32_epi8(rest));
        rest = _mm512_srai_epi32(_mm512_add_epi32(rest, half), 8);
      }
    }
  }
  const __m512i ones = _mm512_set1_epi8(1);
  for (int d = 0; d < kDigits; ++d) {
    __m512i sum = _mm512_setzero_si512();
    for (int64_t k = 0; k < depth; k += 64) sum = _mm512_dpbusd_epi32(sum, ones, _mm512_load_si512(plane[d] + k));
    sums[d] = _mm512_reduce_add_epi32(sum);
  }
  for (int64_t k = 0; k < depth; k += 4, digits += stride) {
    for (int d = 0; d < kDigits; ++d) std::memcpy(digits + d * 4, plane[d] + k, 4);
  }
  if ((depth + 3) / 4 % 2 == 1) std::memset(digits, 0, kDigits * 4);  // blocks are padded to eight
  return good;
}

// By hand: gcc 12 copies and spills the accumulators of _mm512_dpbusd_epi32.
__m512i multiply_add(__m512i sum, __m512i codes, __m512i x) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(x));
  return sum;
}

// The codes of eight k and 32 columns as bytes: [step of four k][half of the columns].
template <int kBits>
void unpack(const uint8_t* codes, int64_t k, __m512i (&out)[2][2]) {
  if constexpr (kBits == 8) {
    for (int i = 0; i < 4; ++i) out[i / 2][i % 2] = _mm512_loadu_si512(codes + k * kTileColumns + i * 64);
  } else if constexpr (kBits == 4) {
    const __m512i mask = _mm512_set1_epi8(0x0f);
    for (int i = 0; i < 2; ++i) {
      const __m512i both = _mm512_loadu_si512(codes + k * kTileColumns / 2 + i * 64);
      out[i][0] = _mm512_and_si512(both, mask);
      out[i][1] = _mm512_and_si512(_mm512_srli_epi16(both, 4), mask);
    }
  } else {
    const __m512i mask = _mm512_set1_epi8(0x03), all = _mm512_loadu_si512(codes + k / 8 * 64);
    out[0][0] = _mm512_and_si512(all, mask);
    out[0][1] = _mm512_and_si512(_mm512_srli_epi16(all, 2), mask);
    out[1][0] = _mm512_and_si512(_mm512_srli_epi16(all, 4), mask);
    out[1][1] = _mm512_and_si512(_mm512_srli_epi16(all, 6), mask);
  }
}

// out[16] += what sums of the three digits stand for. By the scale of x first: the sum alone times the weight's scale
// may leave f32.
void add_scaled(__m512i lowest, __m512i middle, __m512i highest, __m512 x_scale, __m512 scales, float* out) {
  const __m512i low = _mm512_add_epi32(_mm512_slli_epi32(middle, 8), lowest);
  const __m512 sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(highest), _mm512_set1_ps(65536.0f), _mm512_cvtepi32_ps(low));
  _mm512_storeu_ps(out, _mm512_fmadd_ps(_mm512_mul_ps(sum, x_scale), scales, _mm512_loadu_ps(out)));
}

// Prefetching pays where the codes come from beyond L2; two KB ahead is the next block or two.
constexpr int64_t kAhead = 2048;

// out[i][32] += for kRows rows. With few rows, two sets of accumulators keep the multipliers' latency covered.
template <int kBits, int kRows, bool kFirst>
void multiply_rows(const uint8_t* block, int64_t padded_depth, const int8_t* digits, const int32_t* digit_sums,
                   const float* x_scales, float* out) {
  constexpr int kSums = kRows * kDigits, kSets = kRows <= 2 ? 2 : 1;
  __m512i sums[kSets][kSums][2];
  const __m512i negated = _mm512_loadu_si512(block + kTileColumns * 4);
  const __m512i zeros[2] = {_mm512_cvtepu16_epi32(_mm512_castsi512_si256(negated)),
                            _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(negated, 1))};
#pragma GCC unroll 16
  for (int r = 0; r < kSums; ++r) {
    // Sums of digits fit int16: the product of the low halves is -zero * sum; the high half of `zeros` is 0.
    const __m512i sum = _mm512_set1_epi32(digit_sums[r]);
    sums[0][r][0] = _mm512_madd_epi16(zeros[0], sum);
    sums[0][r][1] = _mm512_madd_epi16(zeros[1], sum);
    if constexpr (kSets == 2) sums[1][r][0] = sums[1][r][1] = _mm512_setzero_si512();
  }
  const uint8_t* codes = block + kBlockHeader;
#pragma GCC unroll 1
  for (int64_t k = 0; k < padded_depth; k += 8) {
    __m512i w[2][2];
    unpack<kBits>(codes, k, w);
    if constexpr (kFirst) {
#pragma GCC unroll 4
      for (int line = 0; line < kBits / 2; ++line) {
        _mm_prefetch(reinterpret_cast<const char*>(codes + k * kBits * 4 + line * 64 + kAhead), _MM_HINT_T0);
      }
    }
#pragma GCC unroll 2
    for (int step = 0; step < 2; ++step) {
#pragma GCC unroll 16
      for (int r = 0; r < kSums; ++r) {
        int32_t four;
        std::memcpy(&four, digits + (k / 4 + step) * kSums * 4 + r * 4, 4);
        const __m512i x = _mm512_set1_epi32(four);
        auto& sum = sums[kSets == 2 ? step : 0][r];
        sum[0] = multiply_add(sum[0], w[step][0], x);
        sum[1] = multiply_add(sum[1], w[step][1], x);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kSums; ++r) {
    if constexpr (kSets == 2) {
      sums[0][r][0] = _mm512_add_epi32(sums[0][r][0], sums[1][r][0]);
      sums[0][r][1] = _mm512_add_epi32(sums[0][r][1], sums[1][r][1]);
    }
    // Keeps gcc 12 from moving parts of what follows, with copies, into the loop.
    __asm__("" : "+v"(sums[0][r][0]), "+v"(sums[0][r][1]));
  }
  const __m512 scales[2] = {_mm512_loadu_ps(block), _mm512_loadu_ps(block + 64)};
#pragma GCC unroll 4
  for (int i = 0; i < kRows; ++i) {
    const auto* digit = &sums[0][i * kDigits];
    const __m512 x_scale = _mm512_set1_ps(x_scales[i]);
    float* to = out + i * kTileColumns;
    add_scaled(digit[0][0], digit[1][0], digit[2][0], x_scale, scales[0], to);
    add_scaled(digit[0][1], digit[1][1], digit[2][1], x_scale, scales[1], to + 16);
  }
}

template <int kBits, int kRows, bool kFirst>
void multiply_rest(const uint8_t* block, int64_t padded_depth, const int8_t* digits, const int32_t* digit_sums,
                   const float* x_scales, int64_t rows, float* out) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      return multiply_rest<kBits, kRows - 1, kFirst>(block, padded_depth, digits, digit_sums, x_scales, rows, out);
    }
  }
  multiply_rows<kBits, kRows, kFirst>(block, padded_depth, digits, digit_sums, x_scales, out);
}

template <int kBits>
void multiply_plane(const uint8_t* block, int64_t padded_depth, const DigitBlock& x, int64_t rows, float* out) {
  multiply_rest<kBits, kTokens, true>(block, padded_depth, x.digits, x.sums, x.scales, rows, out);
  for (int64_t i = kTokens; i < rows; i += kTokens) {
    multiply_rest<kBits, kTokens, false>(block, padded_depth, x.digits + i * padded_depth * kDigits,
                                         x.sums + i * kDigits, x.scales + i, rows - i, out + i * kTileColumns);
  }
}

void multiply(int plane_bits, const uint8_t* block, int64_t padded_depth, const DigitBlock& x, int64_t rows,
              float* out) {
  if (plane_bits == 2) return multiply_plane<2>(block, padded_depth, x, rows, out);
  if (plane_bits == 4) return multiply_plane<4>(block, padded_depth, x, rows, out);
  multiply_plane<8>(block, padded_depth, x, rows, out);
}

}  // namespace

tersor_status gemm_quantized_avx512vnni(tersor_context* context, const QuantizedProduct& product) {
  return gemm_quantized_digits(context, product, {split, multiply}, gemm_quantized_avx512);
}

}  // namespace tersor::cpu
