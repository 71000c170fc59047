// f32 weights out of packed codes and their products with x, written once for every vector ISA. Anonymous, so that each
// file that includes it has its own code for its own ISA.
//
// Vector brings: Register, kWidth, kRows, load, store, broadcast(p), multiply_add(a, b, c); and for codebooks multiply,
// Lanes (kWidth of 32 bits), load_lanes, shift_right, masked, either(a, b), Table, table(p), look_up(table, lanes),
// which looks at the low four bits of a lane alone.
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

// Codes of column k + b, kWidth of them from `column` of the tile on, with bits of their neighbours above the lowest
// four: `values` repeat until there are kCodebookSize of them, so that bits above a code change nothing.
template <typename Vector, int kBits>
auto codes_at(const uint8_t* codes, int64_t column, int64_t k, int b) {
  const auto half = static_cast<int>(column / 16);
  const auto lanes = [&](int64_t line) {
    return Vector::load_lanes(reinterpret_cast<const uint32_t*>(codes + line + column % 16 * 4));
  };
  if (kBits == 3 && k / 4 % 4 == kSplitStep) {
    const auto low = lanes(k / 16 * 192 + half * 64), high = lanes(k / 16 * 192 + 128);
    return Vector::either(Vector::masked(Vector::shift_right(low, 8 * b + kSplitLow), 3),
                          Vector::masked(Vector::shift_right(high, 8 * b + split_high(half) - 2), 4));
  }
  const auto [line, shift] = code_place(kBits, k / 4, half);
  return Vector::shift_right(lanes(line), 8 * b + shift);
}

// The same arithmetic as `codebook_decode`.
template <typename Vector, int kBits>
void expand_codebook_bits(const uint8_t* block, const float* values, int64_t depth, float* __restrict panel) {
  const auto table = Vector::table(values);
  for (int64_t column = 0; column < kTileColumns; column += Vector::kWidth) {
    const auto scale = Vector::load(reinterpret_cast<const float*>(block) + column);
    for (int64_t k = 0; k < depth; k += 4) {
#pragma GCC unroll 4
      for (int b = 0; b < 4; ++b) {
        const auto value = Vector::look_up(table, codes_at<Vector, kBits>(block + kBlockHeader, column, k, b));
        Vector::store(panel + (k + b) * kTileColumns + column, Vector::multiply(scale, value));
      }
    }
  }
}

// Writes up to three rows past `depth`, as expand_block does.
template <typename Vector>
void expand_codebook(int bits, const uint8_t* block, const float* values, int64_t depth, float* panel) {
  switch (bits) {
    case 2:
      return expand_codebook_bits<Vector, 2>(block, values, depth, panel);
    case 3:
      return expand_codebook_bits<Vector, 3>(block, values, depth, panel);
    default:
      return expand_codebook_bits<Vector, 4>(block, values, depth, panel);
  }
}

// sums[i][j] += scale[j] * sum_k x[i * x_stride + k] * value[k][j]: values are multiplied as they are looked up.
template <typename Vector, int kBits, int kRows>
void multiply_codebook_rows(const uint8_t* block, const float* values, int64_t depth, const float* x, int64_t x_stride,
                            float* sums) {
  constexpr int kSets = kRows == 1 ? 4 : 2;  // of sums, to keep the multipliers' latency covered
  const auto table = Vector::table(values);
  for (int64_t column = 0; column < kTileColumns; column += 2 * Vector::kWidth) {
    typename Vector::Register partial[kSets][kRows][2] = {};
    const auto multiply_four = [&](int64_t k, const float* from, int64_t stride) {
#pragma GCC unroll 4
      for (int b = 0; b < 4; ++b) {
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) {
          const auto lanes = codes_at<Vector, kBits>(block + kBlockHeader, column + v * Vector::kWidth, k, b);
          const auto value = Vector::look_up(table, lanes);
#pragma GCC unroll 4
          for (int i = 0; i < kRows; ++i) {
            auto& sum = partial[b % kSets][i][v];
            sum = Vector::multiply_add(Vector::broadcast(from + i * stride + b), value, sum);
          }
        }
      }
    };
    const int64_t whole = depth / 4 * 4;
    for (int64_t k = 0; k < whole; k += 4) {
      __builtin_prefetch(block + kBlockHeader + k * kTileColumns * kBits / 8 + 2048);
      multiply_four(k, x + k, x_stride);
    }
    if (whole < depth) {
      float rest[kRows][4] = {};
      for (int i = 0; i < kRows; ++i) {
        for (int64_t k = whole; k < depth; ++k) rest[i][k - whole] = x[i * x_stride + k];
      }
      multiply_four(whole, rest[0], 4);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
        auto sum = partial[0][i][v];
#pragma GCC unroll 4
        for (int set = 1; set < kSets; ++set) sum = Vector::add(sum, partial[set][i][v]);
        const int64_t at = column + v * Vector::kWidth;
        const auto scale = Vector::load(reinterpret_cast<const float*>(block) + at);
        float* to = sums + i * kTileColumns + at;
        Vector::store(to, Vector::multiply_add(scale, sum, Vector::load(to)));
      }
    }
  }
}

template <typename Vector, int kBits>
void multiply_codebook_bits(const uint8_t* block, const float* values, int64_t depth, const float* x, int64_t x_stride,
                            int64_t rows, float* sums) {
  switch (rows) {
    case 1:
      return multiply_codebook_rows<Vector, kBits, 1>(block, values, depth, x, x_stride, sums);
    case 2:
      return multiply_codebook_rows<Vector, kBits, 2>(block, values, depth, x, x_stride, sums);
    case 3:
      return multiply_codebook_rows<Vector, kBits, 3>(block, values, depth, x, x_stride, sums);
    default:
      return multiply_codebook_rows<Vector, kBits, 4>(block, values, depth, x, x_stride, sums);
  }
}

template <typename Vector>
void multiply_codebook(int bits, const uint8_t* block, const float* values, int64_t depth, const float* x,
                       int64_t x_stride, int64_t rows, float* sums) {
  switch (bits) {
    case 2:
      return multiply_codebook_bits<Vector, 2>(block, values, depth, x, x_stride, rows, sums);
    case 3:
      return multiply_codebook_bits<Vector, 3>(block, values, depth, x, x_stride, rows, sums);
    default:
      return multiply_codebook_bits<Vector, 4>(block, values, depth, x, x_stride, rows, sums);
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
