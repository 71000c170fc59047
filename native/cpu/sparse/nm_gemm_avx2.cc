#include <immintrin.h>

#include <algorithm>

#include "cpu/sparse/nm_turn.h"
#include "cpu/vector/vector_avx2.h"

namespace tersor::cpu {
namespace {

// --- lanes are rows of the weight ------------------------------------------------------------------------------------

constexpr int64_t kChooseRows = 4;

// Columns 0-15 of a row of x by the low four bits of each choice.
__m256 chosen(__m256 low, __m256 high, __m256i choice) {
  const __m256 upper_half = _mm256_castsi256_ps(_mm256_slli_epi32(choice, 28));  // by the sign bit
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, choice), _mm256_permutevar8x32_ps(high, choice), upper_half);
}

template <int kRows>
void choose_rows(const NmChunks& w, const float* x, float* sums) {
  __m256 sum[kRows][2];
  for (auto& row : sum) row[0] = row[1] = _mm256_setzero_ps();
  const uint8_t* data = w.data;
  for (int64_t c = 0; c < w.count; ++c, x += kRows * kNmColumns) {
    const auto* choices = reinterpret_cast<const __m256i*>(data);
    const auto* values = reinterpret_cast<const float*>(data + w.choice_words * 64);
    __m256i choice[2] = {};
    for (int64_t s = 0; s < w.places; ++s, values += kNmRows) {
      for (int half = 0; half < 2; ++half) {
        const int64_t word = s / kNmChoicesPerWord;
        choice[half] = s % kNmChoicesPerWord == 0 ? _mm256_loadu_si256(choices + 2 * word + half)
                                                  : _mm256_srli_epi32(choice[half], 4);
        const __m256 value = _mm256_loadu_ps(values + 8 * half);
#pragma GCC unroll 4
        for (int i = 0; i < kRows; ++i) {
          const __m256 low = _mm256_loadu_ps(x + i * kNmColumns), high = _mm256_loadu_ps(x + i * kNmColumns + 8);
          sum[i][half] = _mm256_fmadd_ps(value, chosen(low, high, choice[half]), sum[i][half]);
        }
      }
    }
    data = reinterpret_cast<const uint8_t*>(values);
  }
  for (int i = 0; i < kRows; ++i) {
    for (int half = 0; half < 2; ++half) _mm256_storeu_ps(sums + i * kNmRows + 8 * half, sum[i][half]);
  }
}

void choose(const NmChunks& w, const float* x, int64_t rows, float* sums) {
  using Choose = void(const NmChunks&, const float*, float*);
  constexpr Choose* kByRows[kChooseRows] = {choose_rows<1>, choose_rows<2>, choose_rows<3>, choose_rows<4>};
  kByRows[rows - 1](w, x, sums);
}

// --- lanes are rows of x ---------------------------------------------------------------------------------------------

constexpr int kVectors = 4;
constexpr int kLanes = 8 * kVectors;
constexpr int kBlockRows = 2;  // of the panel, at a time: 8 sums
constexpr int64_t kTurnedChunks = 12;

void turned(const NmChunks& w, const float* x, bool accumulate, float* sums) {
  const int64_t chunk_bytes = (w.places + w.choice_words) * 64;
  for (int row = 0; row < kNmRows; row += kBlockRows) {
    __m256 sum[kBlockRows][kVectors];
    float* to = sums + row * kLanes;
#pragma GCC unroll 2
    for (int i = 0; i < kBlockRows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        sum[i][v] = accumulate ? _mm256_loadu_ps(to + i * kLanes + 8 * v) : _mm256_setzero_ps();
      }
    }
    for (int64_t c = 0; c < w.count; ++c) {
      const float* at = x + c * kNmColumns * kLanes;
      const auto* choices = reinterpret_cast<const uint32_t*>(w.data + c * chunk_bytes) + row;
      const auto* values = reinterpret_cast<const float*>(choices + w.choice_words * kNmRows);
      for (int64_t s = 0; s < w.places; ++s, values += kNmRows) {
        const uint32_t* word = choices + s / kNmChoicesPerWord * kNmRows;
#pragma GCC unroll 2
        for (int i = 0; i < kBlockRows; ++i) {
          const float* from = at + (word[i] >> (s % kNmChoicesPerWord * 4) & 15) * kLanes;
          const __m256 value = _mm256_broadcast_ss(values + i);
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; ++v)
            sum[i][v] = _mm256_fmadd_ps(value, _mm256_loadu_ps(from + 8 * v), sum[i][v]);
        }
      }
    }
#pragma GCC unroll 2
    for (int i = 0; i < kBlockRows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) _mm256_storeu_ps(to + i * kLanes + 8 * v, sum[i][v]);
    }
  }
}

}  // namespace

tersor_status nm_gemm_avx2(tersor_context* context, const NmProduct& product) {
  return nm_gemm_tiled(context, product,
                       {.choose = choose,
                        .choose_rows = kChooseRows,
                        .turned = turned,
                        .lanes = kLanes,
                        .turned_chunks = kTurnedChunks,
                        .fewest_turned = 12,
                        .turn = turn<Avx2Vector>});
}

}  // namespace tersor::cpu
