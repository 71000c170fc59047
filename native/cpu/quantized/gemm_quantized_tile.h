// f32 weights out of packed codes and their products with x, written once for every vector ISA. Anonymous, so that each
// file that includes it has its own code for its own ISA.
//
// Vector brings: Register, kWidth, kRows, load, store, broadcast(p), multiply_add(a, b, c).
#pragma once

#include <cstdint>

#include "cpu/quantized/gemm_quantized.h"

namespace tersor::cpu {
namespace {

// The same arithmetic as `dequantize`: the weights have its bits, except where an offset stands for a bias.
template <int kBits, bool kOffsets>
void expand_codes(const uint8_t* block, const float* offsets, int64_t depth, float* __restrict panel) {
  constexpr int kHalf = kTileColumns / 2;
  constexpr uint32_t kMask = (1u << kBits) - 1;
  const auto* scales = reinterpret_cast<const float*>(block);
  const auto* negated = reinterpret_cast<const int16_t*>(block + kTileColumns * 4);
  int32_t zeros[kTileColumns];
  for (int64_t i = 0; i < kTileColumns; ++i) zeros[i] = negated[i];
  const uint8_t* codes = block + kBlockHeader;
  for (int64_t k = 0; k < depth; k += 4) {
    for (int half = 0; half < 2; ++half) {
      const auto write = [&](auto&& code) {
        for (int b = 0; b < 4; ++b) {
          float* to = panel + (k + b) * kTileColumns + half * kHalf;
          for (int i = 0; i < kHalf; ++i) {
            const float step = static_cast<float>(static_cast<int32_t>(code(i, 8 * b)) + zeros[half * kHalf + i]);
            const float value = scales[half * kHalf + i] * step;
            to[i] = kOffsets ? value + offsets[half * kHalf + i] : value;
          }
        }
      };
      if (kBits == 3 && k / 4 % 4 == kSplitStep) {
        const auto* low = reinterpret_cast<const uint32_t*>(codes + k / 16 * 192 + half * 64);
        const auto* high = reinterpret_cast<const uint32_t*>(codes + k / 16 * 192 + 128);
        write([=](int i, int byte) {
          return (low[i] >> (byte + kSplitLow) & 3) | (high[i] >> (byte + split_high(half)) & 1) << 2;
        });
      } else {
        const auto [line, shift] = code_place(kBits, k / 4, half);
        const auto* lanes = reinterpret_cast<const uint32_t*>(codes + line);
        write([=, first = shift](int i, int byte) { return lanes[i] >> (byte + first) & kMask; });
      }
    }
  }
}

template <int kBits>
void expand_bits(const uint8_t* block, const float* offsets, int64_t depth, float* panel) {
  if (offsets == nullptr) return expand_codes<kBits, false>(block, offsets, depth, panel);
  expand_codes<kBits, true>(block, offsets, depth, panel);
}

// Writes up to three rows past `depth`, which the panel has room for.
[[maybe_unused]] void expand_block(int bits, const uint8_t* block, const float* offsets, int64_t depth, float* panel) {
  switch (bits) {
    case 1:
      return expand_bits<1>(block, offsets, depth, panel);
    case 2:
      return expand_bits<2>(block, offsets, depth, panel);
    case 3:
      return expand_bits<3>(block, offsets, depth, panel);
    case 4:
      return expand_bits<4>(block, offsets, depth, panel);
    default:
      return expand_bits<8>(block, offsets, depth, panel);
  }
}

// Two vectors of columns by kRows rows.
template <typename Vector>
struct FloatProducts {
  static void multiply(int64_t depth, const float* x, int64_t x_stride, int64_t rows, const float* panel, float* sums) {
    for (int64_t i = 0; i < rows; i += Vector::kRows) {
      for (int64_t j = 0; j < kTileColumns; j += 2 * Vector::kWidth) {
        by_rows<Vector::kRows>(depth, x + i * x_stride, x_stride, rows - i, panel + j, sums + i * kTileColumns + j);
      }
    }
  }

 private:
  template <int kRows>
  static void by_rows(int64_t depth, const float* x, int64_t x_stride, int64_t rows, const float* panel, float* sums) {
    if constexpr (kRows > 1) {
      if (rows < kRows) return by_rows<kRows - 1>(depth, x, x_stride, rows, panel, sums);
    }
    typename Vector::Register sum[kRows][2];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      sum[i][0] = Vector::load(sums + i * kTileColumns);
      sum[i][1] = Vector::load(sums + i * kTileColumns + Vector::kWidth);
    }
    for (int64_t k = 0; k < depth; ++k) {
      const auto left = Vector::load(panel + k * kTileColumns);
      const auto right = Vector::load(panel + k * kTileColumns + Vector::kWidth);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        const auto factor = Vector::broadcast(x + i * x_stride + k);
        sum[i][0] = Vector::multiply_add(factor, left, sum[i][0]);
        sum[i][1] = Vector::multiply_add(factor, right, sum[i][1]);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      Vector::store(sums + i * kTileColumns, sum[i][0]);
      Vector::store(sums + i * kTileColumns + Vector::kWidth, sum[i][1]);
    }
  }
};

}  // namespace
}  // namespace tersor::cpu
