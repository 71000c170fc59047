#include <immintrin.h>

#include <cstring>

#include "cpu/sparse/nm_gemm.h"
#include "cpu/vector/transpose_avx512.h"

namespace tersor::cpu {
namespace {

// --- lanes are rows of the weight ------------------------------------------------------------------------------------

constexpr int64_t kChooseRows = 16;
constexpr int64_t kAhead = 2048;  // bytes of the weight that are fetched before they are needed

// sum[i] += value * the chosen columns of row i of x.
template <int kRows>
[[gnu::always_inline]] inline void choose_place(__m512 value, __m512i choice, const float* x, __m512 (&sum)[kRows]) {
  // Makes the compiler read x anew for every place; kept in registers it would push sums out of theirs.
  asm volatile("" : "+r"(x));
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    sum[i] = _mm512_fmadd_ps(value, _mm512_permutexvar_ps(choice, _mm512_loadu_ps(x + i * kNmColumns)), sum[i]);
  }
}

template <int kRows>
void choose_rows(const NmChunks& w, const float* x, float* sums) {
  // Enough independent sums to hide the latency of an addition.
  constexpr int kSets = kRows == 1 ? 4 : kRows <= 3 ? 2 : 1;
  __m512 sum[kSets][kRows];
#pragma GCC unroll 4
  for (auto& set : sum) {
#pragma GCC unroll 16
    for (__m512& each : set) each = _mm512_setzero_ps();
  }
  const uint8_t* data = w.data;
  for (int64_t c = 0; c < w.count; ++c, x += kRows * kNmColumns) {
    const auto* choices = reinterpret_cast<const __m512i*>(data);
    const auto* values = reinterpret_cast<const float*>(choices + w.choice_words);
    int64_t left = w.places;
    for (int64_t word = 0; word < w.choice_words; ++word, left -= kNmChoicesPerWord) {
      __m512i choice = _mm512_loadu_si512(choices + word);
      _mm_prefetch(reinterpret_cast<const char*>(choices + word) + kAhead, _MM_HINT_T0);
      if (left >= kNmChoicesPerWord) {
#pragma GCC unroll 8
        for (int s = 0; s < kNmChoicesPerWord; ++s, values += kNmRows) {
          _mm_prefetch(reinterpret_cast<const char*>(values) + kAhead, _MM_HINT_T0);
          choose_place(_mm512_loadu_ps(values), choice, x, sum[s % kSets]);
          choice = _mm512_srli_epi32(choice, 4);
        }
      } else {
        for (int64_t s = 0; s < left; ++s, values += kNmRows) {
          choose_place(_mm512_loadu_ps(values), choice, x, sum[0]);
          choice = _mm512_srli_epi32(choice, 4);
        }
      }
    }
    data = reinterpret_cast<const uint8_t*>(values);
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int s = 1; s < kSets; ++s) sum[0][i] = _mm512_add_ps(sum[0][i], sum[s][i]);
    _mm512_storeu_ps(sums + i * kNmRows, sum[0][i]);
  }
}

void choose(const NmChunks& w, const float* x, int64_t rows, float* sums) {
  using Choose = void(const NmChunks&, const float*, float*);
  constexpr Choose* kByRows[kChooseRows] = {choose_rows<1>,  choose_rows<2>,  choose_rows<3>,  choose_rows<4>,
                                            choose_rows<5>,  choose_rows<6>,  choose_rows<7>,  choose_rows<8>,
                                            choose_rows<9>,  choose_rows<10>, choose_rows<11>, choose_rows<12>,
                                            choose_rows<13>, choose_rows<14>, choose_rows<15>, choose_rows<16>};
  kByRows[rows - 1](w, x, sums);
}

// --- lanes are rows of x ---------------------------------------------------------------------------------------------

constexpr int kVectors = 4;
constexpr int kLanes = 16 * kVectors;
constexpr int kBlockRows = 4;  // of the panel, at a time: 16 sums
constexpr int64_t kTurnedChunks = 6;

using Offsets = uint16_t[kTurnedChunks * kNmColumns][kNmRows];

// Where the columns that the choices name are: bytes from the first turned row of their chunk.
void locate(const NmChunks& w, Offsets& offsets) {
  const __m512i mask = _mm512_set1_epi32(15);
  const int64_t chunk_bytes = (w.places + w.choice_words) * 64;
  for (int64_t c = 0; c < w.count; ++c) {
    __m512i choice{};
    for (int64_t s = 0; s < w.places; ++s) {
      if (s % kNmChoicesPerWord == 0)
        choice = _mm512_loadu_si512(w.data + c * chunk_bytes + s / kNmChoicesPerWord * 64);
      const __m512i bytes = _mm512_slli_epi32(_mm512_and_si512(choice, mask), 8);
      static_assert(kLanes * sizeof(float) == 1 << 8);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(offsets[c * w.places + s]), _mm512_cvtepi32_epi16(bytes));
      choice = _mm512_srli_epi32(choice, 4);
    }
  }
}

// One place of four rows of the panel. Three of the weights are splat by shuffles, one by a load: that keeps the ports
// of both equally busy.
[[gnu::always_inline]] inline void turned_place(const float* values, const uint16_t* offsets, const char* x,
                                                __m512 (&sum)[kBlockRows][kVectors]) {
  uint64_t four;  // one load
  std::memcpy(&four, offsets, sizeof four);
  const __m512 quad = _mm512_broadcast_f32x4(_mm_loadu_ps(values));
  const __m512 value[kBlockRows] = {_mm512_permute_ps(quad, 0x00), _mm512_permute_ps(quad, 0x55),
                                    _mm512_permute_ps(quad, 0xaa), _mm512_set1_ps(values[3])};
#pragma GCC unroll 4
  for (int i = 0; i < kBlockRows; ++i) {
    const char* row = x + static_cast<uint16_t>(four >> (16 * i));
    // The address in a register: an indexed operand would take a step of its own in each of the four.
    asm volatile("" : "+r"(row));
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      sum[i][v] = _mm512_fmadd_ps(value[i], _mm512_loadu_ps(reinterpret_cast<const float*>(row) + 16 * v), sum[i][v]);
    }
  }
}

void turned(const NmChunks& w, const float* x, bool accumulate, float* sums) {
  alignas(64) Offsets offsets;
  locate(w, offsets);
  const int64_t chunk_bytes = (w.places + w.choice_words) * 64;
  const char* ahead = reinterpret_cast<const char*>(w.next);
  const int64_t ahead_lines = (chunk_bytes / 64 + 3) / 4;  // of a chunk, in each of the four passes over it
  for (int row = 0; row < kNmRows; row += kBlockRows) {
    __m512 sum[kBlockRows][kVectors];
    float* to = sums + row * kLanes;
#pragma GCC unroll 4
    for (int i = 0; i < kBlockRows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        sum[i][v] = accumulate ? _mm512_loadu_ps(to + i * kLanes + 16 * v) : _mm512_setzero_ps();
      }
    }
    const char* at = reinterpret_cast<const char*>(x);
    const uint16_t* offset = offsets[0] + row;
    for (int64_t c = 0; c < w.count; ++c, at += kNmColumns * kLanes * 4) {
      for (int64_t line = 0; line < ahead_lines; ++line, ahead += 64) _mm_prefetch(ahead, _MM_HINT_T0);
      const auto* values = reinterpret_cast<const float*>(w.data + c * chunk_bytes + w.choice_words * 64) + row;
      for (int64_t s = 0; s < w.places; ++s, values += kNmRows, offset += kNmRows) {
        turned_place(values, offset, at, sum);
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < kBlockRows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) _mm512_storeu_ps(to + i * kLanes + 16 * v, sum[i][v]);
    }
  }
}

void turn(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to, int64_t to_stride) {
  const auto mask = static_cast<__mmask16>((1u << columns) - 1);
  __m512i r[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    r[i] = i < rows ? _mm512_maskz_loadu_epi32(mask, from + i * from_stride) : _mm512_setzero_si512();
  }
  transpose_registers(r);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) _mm512_store_si512(to + i * to_stride, r[i]);
}

}  // namespace

tersor_status nm_gemm_avx512(tersor_context* context, const NmProduct& product) {
  return nm_gemm_tiled(context, product,
                       {.choose = choose,
                        .choose_rows = kChooseRows,
                        .turned = turned,
                        .lanes = kLanes,
                        .turned_chunks = kTurnedChunks,
                        .fewest_turned = 48,
                        .turn = turn});
}

}  // namespace tersor::cpu
