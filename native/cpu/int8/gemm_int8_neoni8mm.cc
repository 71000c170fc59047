// The unit multiplies two rows of x (u8) by two columns of w (i8), eight k each: four sums, row by row. The bytes of a
// column over two steps come together when the registers of the steps are zipped by words.
#include <cstring>

#include "cpu/int8/gemm_int8.h"
#include "cpu/int8/int8_panel.h"
#include "cpu/vector/by_element_neon.h"

namespace tersor::cpu {
namespace {

constexpr int kRows = 8;

// Registers of four columns: fewer pairs of rows take more of them.
constexpr int vectors_of(int pairs) { return pairs == 1 ? 8 : pairs == 2 ? 4 : 2; }

// Two columns of two steps, and the two columns after them.
struct Columns {
  int8x16_t left, right;
};

Columns columns_of(const int8_t* first, int8x16_t second) {
  const int32x4_t a = vreinterpretq_s32_s8(vld1q_s8(first)), b = vreinterpretq_s32_s8(second);
  return {vreinterpretq_s8_s32(vzip1q_s32(a, b)), vreinterpretq_s8_s32(vzip2q_s32(a, b))};
}

// What x has for a last step without a second one.
uint8x8_t four_bytes(const uint8_t* p) {
  uint32_t bytes;
  std::memcpy(&bytes, p, sizeof bytes);
  return vcreate_u8(bytes);
}

// As many columns as fit in registers, from `column` on; sums are [rows][32]. The second row of the last pair may be
// the first one again.
template <int kPairs>
void multiply_columns(const Int8Panel& p, int64_t column, int32_t (*sums)[kInt8Columns]) {
  constexpr int kVectors = vectors_of(kPairs);
  const int64_t steps = p.steps;
  const uint8_t* x[2 * kPairs];
  for_constants<2 * kPairs>([&](auto i)
                                __attribute__((always_inline)) { x[i] = p.x + (i < p.rows ? i : i - 1) * p.x_stride; });
  int32x4_t left[kPairs][kVectors], right[kPairs][kVectors];
  for_constants<kPairs>([&](auto i) __attribute__((always_inline)) {
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
      const int32x4_t upper = vld1q_s32(sums[2 * i] + column + 4 * v);
      const int32x4_t lower = vld1q_s32(sums[2 * i + 1] + column + 4 * v);
      left[i][v] = vcombine_s32(vget_low_s32(upper), vget_low_s32(lower));
      right[i][v] = vcombine_s32(vget_high_s32(upper), vget_high_s32(lower));
    });
  });
  const int8_t* w = p.w + column * kInt8Depth;
  const auto multiply = [&](const uint8x16_t(&rows)[kPairs], const int8_t* at, auto&& second)
      __attribute__((always_inline)) {
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
      const Columns columns = columns_of(at + v * 16, second(at + kInt8StepBytes + v * 16));
      for_constants<kPairs>([&](auto i) __attribute__((always_inline)) {
        left[i][v] = vusmmlaq_s32(left[i][v], rows[i], columns.left);
        right[i][v] = vusmmlaq_s32(right[i][v], rows[i], columns.right);
      });
      // No load of columns before their turn: gcc 12 would take registers for them from the sums.
      __asm__ volatile("" ::: "memory");
    });
  };
  const auto there = [](const int8_t* at) __attribute__((always_inline)) { return vld1q_s8(at); };
  int64_t step = 0;
  for (; step + 4 <= steps; step += 4, w += 4 * kInt8StepBytes) {
    uint8x16_t first[kPairs], second[kPairs];
    for_constants<kPairs>([&](auto i) __attribute__((always_inline)) {
      const uint64x2_t upper = vreinterpretq_u64_u8(vld1q_u8(x[2 * i] + step * kInt8Depth));
      const uint64x2_t lower = vreinterpretq_u64_u8(vld1q_u8(x[2 * i + 1] + step * kInt8Depth));
      first[i] = vreinterpretq_u8_u64(vzip1q_u64(upper, lower));
      second[i] = vreinterpretq_u8_u64(vzip2q_u64(upper, lower));
    });
    multiply(first, w, there);
    multiply(second, w + 2 * kInt8StepBytes, there);
  }
  for (; step < steps; step += 2, w += 2 * kInt8StepBytes) {
    uint8x16_t rows[kPairs];
    if (step + 1 < steps) {
      for_constants<kPairs>([&](auto i) __attribute__((always_inline)) {
        rows[i] = vcombine_u8(vld1_u8(x[2 * i] + step * kInt8Depth), vld1_u8(x[2 * i + 1] + step * kInt8Depth));
      });
      multiply(rows, w, there);
    } else {
      for_constants<kPairs>([&](auto i) __attribute__((always_inline)) {
        rows[i] = vcombine_u8(four_bytes(x[2 * i] + step * kInt8Depth), four_bytes(x[2 * i + 1] + step * kInt8Depth));
      });
      multiply(
          rows, w, [](const int8_t*) __attribute__((always_inline)) { return vdupq_n_s8(0); });
    }
  }
  for_constants<kPairs>([&](auto i) __attribute__((always_inline)) {
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
      vst1q_s32(sums[2 * i] + column + 4 * v, vcombine_s32(vget_low_s32(left[i][v]), vget_low_s32(right[i][v])));
      vst1q_s32(sums[2 * i + 1] + column + 4 * v, vcombine_s32(vget_high_s32(left[i][v]), vget_high_s32(right[i][v])));
    });
  });
}

template <int kPairs>
void multiply_pairs(const Int8Panel& p) {
  if constexpr (kPairs > 1) {
    if (p.rows <= 2 * (kPairs - 1)) return multiply_pairs<kPairs - 1>(p);
  }
  alignas(64) int32_t sums[2 * kPairs][kInt8Columns];
  start_panel(p, sums[0]);
  for (int64_t j = 0; p.rows < 2 * kPairs && j < kInt8Columns; ++j) sums[2 * kPairs - 1][j] = 0;
  for (int64_t column = 0; column < kInt8Columns; column += 4 * vectors_of(kPairs)) {
    multiply_columns<kPairs>(p, column, sums);
  }
  finish_panel(p, sums[0]);
}

}  // namespace

tersor_status gemm_int8_neoni8mm(tersor_context* context, const Int8Product& product) {
  return gemm_int8_tiles(context, product, {.rows = kRows, .multiply = multiply_pairs<kRows / 2>});
}

}  // namespace tersor::cpu
