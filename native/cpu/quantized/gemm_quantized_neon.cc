#include "cpu/quantized/gemm_quantized_tile.h"
#include "cpu/vector/by_element_neon.h"

namespace tersor::cpu {
namespace {

constexpr int kRows = 8, kVectors = 2;

struct NeonCodebook : NeonF32 {
  static constexpr int kCodebookRows = 4, kCodebookSums = 8, kFound = 4;
  static Register multiply(Register a, Register b) { return vmulq_f32(a, b); }

  using Lanes = uint32x4_t;
  // Tables of bytes: the lowest byte of each value, and so on.
  struct Table {
    uint8x16_t bytes[4];
  };
  static Lanes load_lanes(const uint32_t* p) { return vld1q_u32(p); }
  static Lanes shift_right(Lanes v, int bits) { return v >> static_cast<uint32_t>(bits); }
  static Lanes masked(Lanes v, uint8_t mask) { return vandq_u32(v, vreinterpretq_u32_u8(vdupq_n_u8(mask))); }
  static Lanes either(Lanes a, Lanes b) { return vorrq_u32(a, b); }
  static Table table(const float* values) {
    const uint8x16x4_t bytes = vld4q_u8(reinterpret_cast<const uint8_t*>(values));
    return {{bytes.val[0], bytes.val[1], bytes.val[2], bytes.val[3]}};
  }
  static void look_up(const Table& table, Lanes lanes, Register* found) {
    // Codes of the same k side by side, as their values shall be.
    constexpr uint8_t kTurn[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    const uint8x16_t codes = vqtbl1q_u8(vandq_u8(vreinterpretq_u8_u32(lanes), vdupq_n_u8(15)), vld1q_u8(kTurn));
    uint8x16_t byte[4];
    for_constants<4>([&](auto b) __attribute__((always_inline)) { byte[b] = vqtbl1q_u8(table.bytes[b], codes); });
    const uint16x8_t low[] = {vreinterpretq_u16_u8(vzip1q_u8(byte[0], byte[1])),
                              vreinterpretq_u16_u8(vzip2q_u8(byte[0], byte[1]))};
    const uint16x8_t high[] = {vreinterpretq_u16_u8(vzip1q_u8(byte[2], byte[3])),
                               vreinterpretq_u16_u8(vzip2q_u8(byte[2], byte[3]))};
    for_constants<2>([&](auto half) __attribute__((always_inline)) {
      found[2 * half] = vreinterpretq_f32_u16(vzip1q_u16(low[half], high[half]));
      found[2 * half + 1] = vreinterpretq_f32_u16(vzip2q_u16(low[half], high[half]));
    });
    // Looked up one after the other: many at once would send sums to the stack.
    __asm__ volatile("" : "+w"(found[0]), "+w"(found[1]), "+w"(found[2]), "+w"(found[3]));
  }
};

// Four k of every row of x at a time, which are lanes of a register.
template <int kTileRows>
void multiply_rows(int64_t depth, const float* x, int64_t x_stride, const float* panel, float* sums) {
  float32x4_t sum[kTileRows][kVectors];
  for_constants<kTileRows>([&](auto i) __attribute__((always_inline)) {
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
      sum[i][v] = vld1q_f32(sums + i * kTileColumns + 4 * v);
    });
  });
  int64_t k = 0;
  for (; k + 4 <= depth; k += 4) {
    float32x4_t four[kTileRows];
    for_constants<kTileRows>([&](auto i) __attribute__((always_inline)) { four[i] = vld1q_f32(x + i * x_stride + k); });
    for_constants<4>([&](auto lane) __attribute__((always_inline)) {
      for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
        const float32x4_t column = vld1q_f32(panel + (k + lane) * kTileColumns + 4 * v);
        for_constants<kTileRows>([&](auto i) __attribute__((always_inline)) {
          sum[i][v] = vfmaq_laneq_f32(sum[i][v], column, four[i], lane);
        });
      });
    });
  }
  for (; k < depth; ++k) {
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
      const float32x4_t column = vld1q_f32(panel + k * kTileColumns + 4 * v);
      for_constants<kTileRows>([&](auto i) __attribute__((always_inline)) {
        sum[i][v] = vfmaq_n_f32(sum[i][v], column, x[i * x_stride + k]);
      });
    });
  }
  for_constants<kTileRows>([&](auto i) __attribute__((always_inline)) {
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
      vst1q_f32(sums + i * kTileColumns + 4 * v, sum[i][v]);
    });
  });
}

template <int kTileRows>
void multiply_rest(int64_t depth, const float* x, int64_t x_stride, int64_t rows, const float* panel, float* sums) {
  if constexpr (kTileRows > 1) {
    if (rows < kTileRows) return multiply_rest<kTileRows - 1>(depth, x, x_stride, rows, panel, sums);
  }
  multiply_rows<kTileRows>(depth, x, x_stride, panel, sums);
}

void multiply(int64_t depth, const float* x, int64_t x_stride, int64_t rows, const float* panel, float* sums) {
  for (int64_t i = 0; i < rows; i += kRows) {
    for (int64_t j = 0; j < kTileColumns; j += 4 * kVectors) {
      multiply_rest<kRows>(depth, x + i * x_stride, x_stride, rows - i, panel + j, sums + i * kTileColumns + j);
    }
  }
}

}  // namespace

tersor_status gemm_quantized_neon(tersor_context* context, const QuantizedProduct& product) {
  return gemm_quantized_float(context, product,
                              {expand_block, expand_codebook<NeonCodebook>, multiply, NeonCodebook::kCodebookRows,
                               multiply_codebook<NeonCodebook>});
}

}  // namespace tersor::cpu
