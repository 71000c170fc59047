#include "cpu/sparse/nm_turn.h"
#include "cpu/vector/by_element_neon.h"
#include "cpu/vector/vector_neon.h"

namespace tersor::cpu {
namespace {

// --- lanes are rows of the weight ------------------------------------------------------------------------------------

constexpr int64_t kChooseRows = 4;

// Columns 0-15 of a row of x by the low four bits of each choice, as a table of 64 bytes.
float32x4_t chosen(const uint8x16x4_t& row, uint32x4_t choice) {
  const uint32x4_t column = vandq_u32(choice, vdupq_n_u32(15));
  const uint32x4_t bytes = vmlaq_u32(vdupq_n_u32(0x03020100), column, vdupq_n_u32(0x04040404));
  return vreinterpretq_f32_u8(vqtbl4q_u8(row, vreinterpretq_u8_u32(bytes)));
}

uint8x16x4_t table(const float* x) {
  return {{vreinterpretq_u8_f32(vld1q_f32(x)), vreinterpretq_u8_f32(vld1q_f32(x + 4)),
           vreinterpretq_u8_f32(vld1q_f32(x + 8)), vreinterpretq_u8_f32(vld1q_f32(x + 12))}};
}

template <int kRows>
void choose_rows(const NmChunks& w, const float* x, float* sums) {
  constexpr int kParts = kNmRows / 4;
  for (int64_t i = 0; i < kRows * kNmRows; ++i) sums[i] = 0;
  const uint8_t* data = w.data;
  for (int64_t c = 0; c < w.count; ++c) {
    const auto* choices = reinterpret_cast<const uint32_t*>(data);
    const auto* values = reinterpret_cast<const float*>(data + w.choice_words * 64);
    for (int i = 0; i < kRows; ++i, x += kNmColumns) {
      const uint8x16x4_t row = table(x);
      float32x4_t sum[kParts];
      uint32x4_t choice[kParts] = {};
#pragma GCC unroll 4
      for (int part = 0; part < kParts; ++part) sum[part] = vld1q_f32(sums + i * kNmRows + 4 * part);
      for (int64_t s = 0; s < w.places; ++s) {
#pragma GCC unroll 4
        for (int part = 0; part < kParts; ++part) {
          choice[part] = s % kNmChoicesPerWord == 0 ? vld1q_u32(choices + s / kNmChoicesPerWord * kNmRows + 4 * part)
                                                    : vshrq_n_u32(choice[part], 4);
          sum[part] = vfmaq_f32(sum[part], vld1q_f32(values + s * kNmRows + 4 * part), chosen(row, choice[part]));
        }
      }
#pragma GCC unroll 4
      for (int part = 0; part < kParts; ++part) vst1q_f32(sums + i * kNmRows + 4 * part, sum[part]);
    }
    data = reinterpret_cast<const uint8_t*>(values + w.places * kNmRows);
  }
}

void choose(const NmChunks& w, const float* x, int64_t rows, float* sums) {
  using Choose = void(const NmChunks&, const float*, float*);
  constexpr Choose* kByRows[kChooseRows] = {choose_rows<1>, choose_rows<2>, choose_rows<3>, choose_rows<4>};
  kByRows[rows - 1](w, x, sums);
}

// --- lanes are rows of x ---------------------------------------------------------------------------------------------

constexpr int kVectors = 4;
constexpr int kLanes = 4 * kVectors;
constexpr int kBlockRows = 4;  // of the panel, at a time: 16 sums
constexpr int64_t kTurnedChunks = 24;

void turned(const NmChunks& w, const float* x, bool accumulate, float* sums) {
  const int64_t chunk_bytes = (w.places + w.choice_words) * 64;
  for (int row = 0; row < kNmRows; row += kBlockRows) {
    float32x4_t sum[kBlockRows][kVectors];
    float* to = sums + row * kLanes;
    for_constants<kBlockRows>([&](auto i) __attribute__((always_inline)) {
      for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
        sum[i][v] = accumulate ? vld1q_f32(to + i * kLanes + 4 * v) : vdupq_n_f32(0.0f);
      });
    });
    for (int64_t c = 0; c < w.count; ++c) {
      const float* at = x + c * kNmColumns * kLanes;
      const auto* choices = reinterpret_cast<const uint32_t*>(w.data + c * chunk_bytes) + row;
      const auto* values = reinterpret_cast<const float*>(choices + w.choice_words * kNmRows);
      for (int64_t s = 0; s < w.places; ++s, values += kNmRows) {
        const uint32_t* word = choices + s / kNmChoicesPerWord * kNmRows;
        const float32x4_t four = vld1q_f32(values);
        for_constants<kBlockRows>([&](auto i) __attribute__((always_inline)) {
          const float* from = at + (word[i] >> (s % kNmChoicesPerWord * 4) & 15) * kLanes;
          for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
            sum[i][v] = vfmaq_laneq_f32(sum[i][v], vld1q_f32(from + 4 * v), four, i);
          });
        });
      }
    }
    for_constants<kBlockRows>([&](auto i) __attribute__((always_inline)) {
      for_constants<kVectors>([&](auto v)
                                  __attribute__((always_inline)) { vst1q_f32(to + i * kLanes + 4 * v, sum[i][v]); });
    });
  }
}

}  // namespace

tersor_status nm_gemm_neon(tersor_context* context, const NmProduct& product) {
  return nm_gemm_tiled(context, product,
                       {.choose = choose,
                        .choose_rows = kChooseRows,
                        .turned = turned,
                        .lanes = kLanes,
                        .turned_chunks = kTurnedChunks,
                        .fewest_turned = 8,
                        .turn = turn<NeonVector>});
}

}  // namespace tersor::cpu
