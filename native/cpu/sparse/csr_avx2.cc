#include <immintrin.h>

#include "cpu/sparse/csr_kernels.h"

namespace tersor::cpu {
namespace {

// Independent sums per row: enough, with two registers each, to hide the latency of an addition.
constexpr uint32_t kChains = 4;

float total(__m256 v) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

int32_t total(__m256i v) {
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

void dot(const Csr<float>& w, const float* x, int64_t begin, int64_t end, float* sums) {
  for (int64_t n = begin; n < end; ++n) {
    uint32_t j = w.row_offsets[n];
    const uint32_t last = w.row_offsets[n + 1];
    __m256 sum = _mm256_setzero_ps();
    for (; last - j >= 8; j += 8) {
      const __m256i column = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w.columns + j));
      sum = _mm256_fmadd_ps(_mm256_loadu_ps(w.values + j), _mm256_i32gather_ps(x, column, 4), sum);
    }
    float rest = 0.0f;
    for (; j < last; ++j) rest += w.values[j] * x[w.columns[j]];
    *sums++ = total(sum) + rest;
  }
}

void tile(const Csr<float>& w, const float* x, int64_t begin, int64_t end, float* sums) {
  for (int64_t n = begin; n < end; ++n, sums += kCsrTile) {
    uint32_t j = w.row_offsets[n];
    const uint32_t last = w.row_offsets[n + 1];
    __m256 low[kChains] = {}, high[kChains] = {};
    const auto step = [&](uint32_t c) {
      const float* row = x + w.columns[j + c] * kCsrTile;
      const __m256 value = _mm256_set1_ps(w.values[j + c]);
      low[c] = _mm256_fmadd_ps(value, _mm256_loadu_ps(row), low[c]);
      high[c] = _mm256_fmadd_ps(value, _mm256_loadu_ps(row + 8), high[c]);
    };
    for (; last - j >= kChains; j += kChains) {
      for (uint32_t c = 0; c < kChains; ++c) step(c);
    }
    for (; j < last; ++j) step(0);
    _mm256_storeu_ps(sums, _mm256_add_ps(_mm256_add_ps(low[0], low[1]), _mm256_add_ps(low[2], low[3])));
    _mm256_storeu_ps(sums + 8, _mm256_add_ps(_mm256_add_ps(high[0], high[1]), _mm256_add_ps(high[2], high[3])));
  }
}

// x and w sit in the low halves of 32-bit lanes and x's high half is zero, so that a multiply-add of 16-bit pairs,
// which is one instruction where a 32-bit product is two, gives the product exactly.
__m256i product(__m256i x, __m256i w) { return _mm256_madd_epi16(x, w); }

void dot(const Csr<int8_t>& w, const int32_t* x, int64_t begin, int64_t end, int32_t* sums) {
  for (int64_t n = begin; n < end; ++n) {
    uint32_t j = w.row_offsets[n];
    const uint32_t last = w.row_offsets[n + 1];
    __m256i sum = _mm256_setzero_si256();
    for (; last - j >= 8; j += 8) {
      const __m256i column = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w.columns + j));
      const __m256i value = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(w.values + j)));
      sum = _mm256_add_epi32(sum, product(_mm256_i32gather_epi32(x, column, 4), value));
    }
    int32_t rest = 0;
    for (; j < last; ++j) rest += w.values[j] * x[w.columns[j]];
    *sums++ = total(sum) + rest;
  }
}

void tile(const Csr<int8_t>& w, const int32_t* x, int64_t begin, int64_t end, int32_t* sums) {
  for (int64_t n = begin; n < end; ++n, sums += kCsrTile) {
    uint32_t j = w.row_offsets[n];
    const uint32_t last = w.row_offsets[n + 1];
    __m256i low[kChains] = {}, high[kChains] = {};
    const auto step = [&](uint32_t c) {
      const auto* row = reinterpret_cast<const __m256i*>(x + w.columns[j + c] * kCsrTile);
      const __m256i value = _mm256_set1_epi32(w.values[j + c]);
      low[c] = _mm256_add_epi32(low[c], product(_mm256_loadu_si256(row), value));
      high[c] = _mm256_add_epi32(high[c], product(_mm256_loadu_si256(row + 1), value));
    };
    for (; last - j >= kChains; j += kChains) {
      for (uint32_t c = 0; c < kChains; ++c) step(c);
    }
    for (; j < last; ++j) step(0);
    auto* to = reinterpret_cast<__m256i*>(sums);
    _mm256_storeu_si256(to, _mm256_add_epi32(_mm256_add_epi32(low[0], low[1]), _mm256_add_epi32(low[2], low[3])));
    _mm256_storeu_si256(to + 1,
                        _mm256_add_epi32(_mm256_add_epi32(high[0], high[1]), _mm256_add_epi32(high[2], high[3])));
  }
}

}  // namespace

void csr_f32_avx2(const Csr<float>& w, const float* x, int64_t lanes, int64_t begin, int64_t end, float* sums) {
  if (lanes == 1) return dot(w, x, begin, end, sums);
  tile(w, x, begin, end, sums);
}

void csr_i8_avx2(const Csr<int8_t>& w, const int32_t* x, int64_t lanes, int64_t begin, int64_t end, int32_t* sums) {
  if (lanes == 1) return dot(w, x, begin, end, sums);
  tile(w, x, begin, end, sums);
}

}  // namespace tersor::cpu
