#include <immintrin.h>

#include "cpu/sparse/csr_kernels.h"

namespace tersor::cpu {
namespace {

// Independent sums per row: enough to hide the latency of an addition.
constexpr uint32_t kChains = 4;

void dot(const Csr<float>& w, const float* x, int64_t begin, int64_t end, float* sums) {
  for (int64_t n = begin; n < end; ++n) {
    const uint32_t last = w.row_offsets[n + 1];
    __m512 sum = _mm512_setzero_ps();
    for (uint32_t j = w.row_offsets[n]; j < last; j += 16) {
      const uint32_t left = last - j;
      const auto mask = static_cast<__mmask16>(left >= 16 ? 0xffffu : (1u << left) - 1);
      const __m512i column = _mm512_maskz_loadu_epi32(mask, w.columns + j);
      const __m512 at = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask, column, x, 4);
      sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, w.values + j), at, sum);
    }
    *sums++ = _mm512_reduce_add_ps(sum);
  }
}

void tile(const Csr<float>& w, const float* x, int64_t begin, int64_t end, float* sums) {
  for (int64_t n = begin; n < end; ++n, sums += kCsrTile) {
    uint32_t j = w.row_offsets[n];
    const uint32_t last = w.row_offsets[n + 1];
    __m512 chain[kChains] = {};
    const auto step = [&](uint32_t c) {
      const __m512 row = _mm512_loadu_ps(x + w.columns[j + c] * kCsrTile);
      chain[c] = _mm512_fmadd_ps(_mm512_set1_ps(w.values[j + c]), row, chain[c]);
    };
    for (; last - j >= kChains; j += kChains) {
      for (uint32_t c = 0; c < kChains; ++c) step(c);
    }
    for (; j < last; ++j) step(0);
    _mm512_storeu_ps(sums, _mm512_add_ps(_mm512_add_ps(chain[0], chain[1]), _mm512_add_ps(chain[2], chain[3])));
  }
}

// x and w sit in the low halves of 32-bit lanes and x's high half is zero, so that a multiply-add of 16-bit pairs,
// which is one instruction where a 32-bit product is two, gives the product exactly.
__m512i product(__m512i x, __m512i w) { return _mm512_madd_epi16(x, w); }

void dot(const Csr<int8_t>& w, const int32_t* x, int64_t begin, int64_t end, int32_t* sums) {
  for (int64_t n = begin; n < end; ++n) {
    const uint32_t last = w.row_offsets[n + 1];
    __m512i sum = _mm512_setzero_si512();
    for (uint32_t j = w.row_offsets[n]; j < last; j += 16) {
      const uint32_t left = last - j;
      const auto mask = static_cast<__mmask16>(left >= 16 ? 0xffffu : (1u << left) - 1);
      const __m512i column = _mm512_maskz_loadu_epi32(mask, w.columns + j);
      const __m512i at = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), mask, column, x, 4);
      const __m512i value = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, w.values + j));
      sum = _mm512_add_epi32(sum, product(at, value));
    }
    *sums++ = _mm512_reduce_add_epi32(sum);
  }
}

void tile(const Csr<int8_t>& w, const int32_t* x, int64_t begin, int64_t end, int32_t* sums) {
  for (int64_t n = begin; n < end; ++n, sums += kCsrTile) {
    uint32_t j = w.row_offsets[n];
    const uint32_t last = w.row_offsets[n + 1];
    __m512i chain[kChains] = {};
    const auto step = [&](uint32_t c) {
      const __m512i row = _mm512_loadu_si512(x + w.columns[j + c] * kCsrTile);
      chain[c] = _mm512_add_epi32(chain[c], product(row, _mm512_set1_epi32(w.values[j + c])));
    };
    for (; last - j >= kChains; j += kChains) {
      for (uint32_t c = 0; c < kChains; ++c) step(c);
    }
    for (; j < last; ++j) step(0);
    _mm512_storeu_si512(sums,
                        _mm512_add_epi32(_mm512_add_epi32(chain[0], chain[1]), _mm512_add_epi32(chain[2], chain[3])));
  }
}

}  // namespace

void csr_f32_avx512(const Csr<float>& w, const float* x, int64_t lanes, int64_t begin, int64_t end, float* sums) {
  if (lanes == 1) return dot(w, x, begin, end, sums);
  tile(w, x, begin, end, sums);
}

void csr_i8_avx512(const Csr<int8_t>& w, const int32_t* x, int64_t lanes, int64_t begin, int64_t end, int32_t* sums) {
  if (lanes == 1) return dot(w, x, begin, end, sums);
  tile(w, x, begin, end, sums);
}

}  // namespace tersor::cpu
