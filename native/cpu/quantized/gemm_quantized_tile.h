// f32 weights out of packed codes and their products with x, written once for every vector ISA. Anonymous, so that each
// file that includes it has its own code for its own ISA.
//
// Vector brings: Register, kWidth, kRows, load, store, broadcast(p), multiply_add(a, b, c); and for codebooks
// kCodebookRows, kCodebookSums (registers), multiply, zero, add, Lanes (kWidth of 32 bits), load_lanes, shift_right,
// masked, either(a, b), Table, table(p), and look_up(table, lanes, found), which looks kFound values up: of a lane's
// low four bits alone, or of the low four bits of each of its bytes. masked(lanes, mask) masks as many bytes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

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

// Codes of the b-th k of step `step` of 16 k, whose lines begin at `lines`, for the kWidth columns from kColumn of the
// tile on. Above the lowest four bits are those of neighbours: `values` repeat until there are kCodebookSize of them,
// so that bits above a code change nothing.
template <typename Vector, int kBits, int kColumn>
[[gnu::always_inline]] inline auto codes_at(const uint8_t* lines, int step, int b) {
  constexpr int kHalf = kColumn / 16;
  const uint8_t* own = lines + kColumn % 16 * 4;
  const auto lanes = [own](int64_t line) __attribute__((always_inline)) {
    return Vector::load_lanes(reinterpret_cast<const uint32_t*>(own + line));
  };
  if (kBits == 3 && step == kSplitStep) {
    return Vector::either(Vector::masked(Vector::shift_right(lanes(kHalf * 64), 8 * b + kSplitLow), 3),
                          Vector::masked(Vector::shift_right(lanes(128), 8 * b + split_high(kHalf) - 2), 4));
  }
  const auto [line, shift] = code_place(kBits, step, kHalf);
  return Vector::shift_right(lanes(line), 8 * b + shift);
}

// The same arithmetic as `codebook_decode`; the panel has room for whole steps of 16 k.
template <typename Vector, int kBits, int kColumn = 0>
void expand_codebook_bits(const uint8_t* block, const float* values, int64_t depth, float* __restrict panel) {
  const auto table = Vector::table(values);
  const auto scale = Vector::load(reinterpret_cast<const float*>(block) + kColumn);
  const uint8_t* lines = block + kBlockHeader;
  float* to = panel + kColumn;
  for (int64_t k = 0; k < depth; k += 16, lines += 64 * kBits) {
#pragma GCC unroll 4
    for (int step = 0; step < 4; ++step) {
#pragma GCC unroll 4
      for (int b = 0; b < 4; b += Vector::kFound) {
        typename Vector::Register found[Vector::kFound];
        Vector::look_up(table, codes_at<Vector, kBits, kColumn>(lines, step, b), found);
#pragma GCC unroll 4
        for (int f = 0; f < Vector::kFound; ++f, to += kTileColumns) {
          Vector::store(to, Vector::multiply(scale, found[f]));
        }
      }
    }
  }
  if constexpr (kColumn + Vector::kWidth < kTileColumns) {
    expand_codebook_bits<Vector, kBits, kColumn + Vector::kWidth>(block, values, depth, panel);
  }
}

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
template <typename Vector, int kBits, int kRows, int kColumn = 0>
void multiply_codebook_rows(const uint8_t* block, const float* values, int64_t depth, const float* x, int64_t x_stride,
                            float* sums) {
  constexpr int kSets =
      std::max(1, Vector::kCodebookSums / (2 * kRows));  // of sums, to keep the multipliers' latency covered
  constexpr int kWidth = Vector::kWidth;
  const auto table = Vector::table(values);
  const uint8_t* lines = block + kBlockHeader;
  // Before the loop: a call inside it would send the sums to the stack.
  float rest[kRows][16] = {};
  const int64_t whole = depth / 16 * 16;
  for (int i = 0; i < kRows; ++i) {
    std::memcpy(rest[i], x + i * x_stride + whole, static_cast<size_t>(depth - whole) * sizeof(float));
  }
  typename Vector::Register partial[kSets][kRows][2];
#pragma GCC unroll 4
  for (int set = 0; set < kSets; ++set) {
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) partial[set][i][0] = partial[set][i][1] = Vector::zero();
  }
#pragma GCC unroll 1
  for (int64_t k = 0; k < depth; k += 16, lines += 64 * kBits) {
    const float* from = k < whole ? x + k : rest[0];
    const int64_t stride = k < whole ? x_stride : 16;
#pragma GCC unroll 4
    for (int line = 0; line < kBits; ++line) __builtin_prefetch(lines + line * 64 + 2048);
#pragma GCC unroll 4
    for (int step = 0; step < 4; ++step) {
#pragma GCC unroll 4
      for (int b = 0; b < 4; b += Vector::kFound) {
        typename Vector::Register left[Vector::kFound], right[Vector::kFound];
        Vector::look_up(table, codes_at<Vector, kBits, kColumn>(lines, step, b), left);
        Vector::look_up(table, codes_at<Vector, kBits, kColumn + kWidth>(lines, step, b), right);
#pragma GCC unroll 4
        for (int f = 0; f < Vector::kFound; ++f) {
#pragma GCC unroll 4
          for (int i = 0; i < kRows; ++i) {
            auto& sum = partial[(b + f) % kSets][i];
            const auto factor = Vector::broadcast(from + i * stride + 4 * step + b + f);
            sum[0] = Vector::multiply_add(factor, left[f], sum[0]);
            sum[1] = Vector::multiply_add(factor, right[f], sum[1]);
          }
        }
      }
    }
  }
  const auto* scales = reinterpret_cast<const float*>(block) + kColumn;
#pragma GCC unroll 4
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      auto sum = partial[0][i][v];
#pragma GCC unroll 4
      for (int set = 1; set < kSets; ++set) sum = Vector::add(sum, partial[set][i][v]);
      float* to = sums + i * kTileColumns + kColumn + v * kWidth;
      Vector::store(to, Vector::multiply_add(Vector::load(scales + v * kWidth), sum, Vector::load(to)));
    }
  }
  if constexpr (kColumn + 2 * kWidth < kTileColumns) {
    multiply_codebook_rows<Vector, kBits, kRows, kColumn + 2 * kWidth>(block, values, depth, x, x_stride, sums);
  }
}

template <typename Vector, int kBits, int kRows>
void multiply_codebook_bits(const uint8_t* block, const float* values, int64_t depth, const float* x, int64_t x_stride,
                            int64_t rows, float* sums) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      return multiply_codebook_bits<Vector, kBits, kRows - 1>(block, values, depth, x, x_stride, rows, sums);
    }
  }
  multiply_codebook_rows<Vector, kBits, kRows>(block, values, depth, x, x_stride, sums);
}

template <typename Vector>
void multiply_codebook(int bits, const uint8_t* block, const float* values, int64_t depth, const float* x,
                       int64_t x_stride, int64_t rows, float* sums) {
  switch (bits) {
    case 2:
      return multiply_codebook_bits<Vector, 2, Vector::kCodebookRows>(block, values, depth, x, x_stride, rows, sums);
    case 3:
      return multiply_codebook_bits<Vector, 3, Vector::kCodebookRows>(block, values, depth, x, x_stride, rows, sums);
    default:
      return multiply_codebook_bits<Vector, 4, Vector::kCodebookRows>(block, values, depth, x, x_stride, rows, sums);
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
