// Register tiles of the f32 GEMM, written once over a vector type and compiled by every ISA file for itself: everything
// is in an anonymous namespace, so that no copy made with ISA flags can be linked into baseline code.
//
// Vector brings: Register, Mask, kWidth, mask(n), zero(), load(p), load(p, mask), broadcast(p), add, multiply_add(a, b,
// c), store(p, v), store(p, v, mask), store_sums(p, a, b, c, d) of the sums of four, and of 32-bit words that hold two
// numbers of bf16: low_half(words), high_half(words).
#pragma once

#include <cstdint>

#include "cpu/gemm/gemm_blocked.h"
#include "cpu/gemm/gemm_layout.h"
#include "cpu/vector/outer_product.h"

namespace tersor::cpu {
namespace {

// How a tile reads b: kDepth numbers of k at a time.
template <typename Vector>
struct F32Columns {
  static constexpr int kDepth = 1;
  template <int>
  static typename Vector::Register read(typename Vector::Register numbers) {
    return numbers;
  }
};

template <typename Vector>
struct Bf16Columns {
  static constexpr int kDepth = 2;
  template <int kHalf>
  static typename Vector::Register read(typename Vector::Register words) {
    return kHalf == 0 ? Vector::low_half(words) : Vector::high_half(words);
  }
};

// One tile of kRows x (kVectors * width) products over panels; the last vector covers only the columns of `mask` when
// kMasked. While there is something to ask for, each step asks for kLines cache lines. Every sum runs over k in order
// whatever the tile, so that a row's bits do not depend on the rows beside it.
template <typename Vector, typename Columns, int kRows, int kVectors, bool kMasked, int kLines>
void panel_tile(const TileOperands& t, typename Vector::Mask mask) {
  using Register = typename Vector::Register;
  Register sums[kRows][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 12
    for (int v = 0; v < kVectors; ++v) {
      sums[i][v] = Vector::zero();
      __builtin_prefetch(t.c + i * t.c_stride + v * Vector::kWidth);
    }
  }
  const float *a = t.a, *b = t.b, *next_panel = t.next_panel, *fetch = t.fetch.at;
  const int64_t a_stride = t.a_stride, b_stride = t.b_stride;
  const auto multiply = [&]<int kHalf>() __attribute__((always_inline)) {
    Register columns[kVectors];
#pragma GCC unroll 12
    for (int v = 0; v < kVectors; ++v) {
      const bool masked = kMasked && v == kVectors - 1;
      const int column = v * Vector::kWidth;
      const float* from = column < kPanelColumns ? b + column : next_panel + (column - kPanelColumns);
      columns[v] = Columns::template read<kHalf>(masked ? Vector::load(from, mask) : Vector::load(from));
    }
    add_outer_product<Vector>(a, columns, sums);
    a += a_stride;
  };
  const auto step = [&]() __attribute__((always_inline)) {
    multiply.template operator()<0>();
    if constexpr (Columns::kDepth == 2) multiply.template operator()<1>();
    b += b_stride;
    if constexpr (kVectors * Vector::kWidth > kPanelColumns) next_panel += b_stride;
  };
  int64_t p = 0;
  const int64_t steps = t.k / Columns::kDepth;
  for (; p < steps && p < t.fetch.steps; ++p) {
#pragma GCC unroll 4
    for (int line = 0; line < kLines; ++line) __builtin_prefetch(fetch + line * 16, 0, 2);  // more than L1 holds
    fetch += t.fetch.stride;
    step();
  }
  for (; p < steps; ++p) step();
  if (Columns::kDepth == 2 && t.k % 2 != 0) multiply.template operator()<0>();
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 12
    for (int v = 0; v < kVectors; ++v) {
      Register sum = sums[i][v];
      float* out = t.c + i * t.c_stride + v * Vector::kWidth;
      if (kMasked && v == kVectors - 1) {
        if (t.accumulate) sum = Vector::add(Vector::load(out, mask), sum);
        Vector::store(out, sum, mask);
      } else {
        if (t.accumulate) sum = Vector::add(Vector::load(out), sum);
        Vector::store(out, sum);
      }
    }
  }
}

// Picks the instance for the tile's true height and width.
template <typename Vector, typename Columns, int kTileRows, int kVectors>
struct PanelTiles {
  static void multiply(const TileOperands& operands, int rows, int columns) {
    by_rows<kTileRows>(operands, rows, columns);
  }

 private:
  template <int kRows>
  static void by_rows(const TileOperands& operands, int rows, int columns) {
    if constexpr (kRows > 1) {
      if (rows < kRows) return by_rows<kRows - 1>(operands, rows, columns);
    }
    by_vectors<kRows, kVectors>(operands, columns);
  }

  template <int kRows, int kCount>
  static void by_vectors(const TileOperands& operands, int columns) {
    if constexpr (kCount > 1) {
      if (columns <= (kCount - 1) * Vector::kWidth) return by_vectors<kRows, kCount - 1>(operands, columns);
    }
    const auto mask = Vector::mask(columns - (kCount - 1) * Vector::kWidth);
    if (columns != kCount * Vector::kWidth) {
      panel_tile<Vector, Columns, kRows, kCount, true, 1>(operands, mask);
    } else if (operands.fetch.lines == 3) {
      panel_tile<Vector, Columns, kRows, kCount, false, 3>(operands, mask);
    } else if (operands.fetch.lines == 2) {
      panel_tile<Vector, Columns, kRows, kCount, false, 2>(operands, mask);
    } else {
      panel_tile<Vector, Columns, kRows, kCount, false, 1>(operands, mask);
    }
  }
};

template <typename Vector>
void widen(const float* pairs, int64_t words, int64_t width, float* numbers) {
  for (int64_t word = 0; word < words; ++word, pairs += width, numbers += 2 * width) {
    for (int64_t j = 0; j < width; j += Vector::kWidth) {
      const typename Vector::Register both = Vector::load(pairs + j);
      Vector::store(numbers + j, Vector::low_half(both));
      Vector::store(numbers + width + j, Vector::high_half(both));
    }
  }
}

// kRows x kColumns dot products along k, kColumns <= 4.
template <typename Vector, int kRows, int kColumns>
void dot_tile(int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc,
              bool accumulate) {
  using Register = typename Vector::Register;
  Register sums[kRows][4];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) sums[i][j] = Vector::zero();
  }
  int64_t p = 0;
  for (; p + Vector::kWidth <= k; p += Vector::kWidth) {
    Register rows[kRows];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) rows[i] = Vector::load(a + i * lda + p);
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) {
      const Register column = Vector::load(b + j * ldb + p);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) sums[i][j] = Vector::multiply_add(rows[i], column, sums[i][j]);
    }
  }
  if (p < k) {
    const auto mask = Vector::mask(static_cast<int>(k - p));
    Register rows[kRows];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) rows[i] = Vector::load(a + i * lda + p, mask);
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) {
      const Register column = Vector::load(b + j * ldb + p, mask);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) sums[i][j] = Vector::multiply_add(rows[i], column, sums[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    alignas(16) float row[4];
    Vector::store_sums(row, sums[i][0], sums[i][1], sums[i][2], sums[i][3]);
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) c[i * ldc + j] = accumulate ? c[i * ldc + j] + row[j] : row[j];
  }
}

// All dot products of rows of a with rows of b. Columns outside: the larger operand, b, is read once.
template <typename Vector, int kTileRows>
struct DotTiles {
  static void multiply(int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc,
                       int64_t rows, int64_t columns, bool accumulate) {
    for (int64_t j = 0; j < columns; j += 4) {
      by_columns<4>(k, a, lda, b + j * ldb, ldb, c + j, ldc, rows, static_cast<int>(columns - j), accumulate);
    }
  }

 private:
  template <int kColumns>
  static void by_columns(int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc,
                         int64_t rows, int columns, bool accumulate) {
    if constexpr (kColumns > 1) {
      if (columns < kColumns) {
        return by_columns<kColumns - 1>(k, a, lda, b, ldb, c, ldc, rows, columns, accumulate);
      }
    }
    for (int64_t i = 0; i < rows; i += kTileRows) {
      by_rows<kTileRows, kColumns>(k, a + i * lda, lda, b, ldb, c + i * ldc, ldc, static_cast<int>(rows - i),
                                   accumulate);
    }
  }

  template <int kRows, int kColumns>
  static void by_rows(int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc,
                      int rows, bool accumulate) {
    if constexpr (kRows > 1) {
      if (rows < kRows) return by_rows<kRows - 1, kColumns>(k, a, lda, b, ldb, c, ldc, rows, accumulate);
    }
    dot_tile<Vector, kRows, kColumns>(k, a, lda, b, ldb, c, ldc, accumulate);
  }
};

}  // namespace
}  // namespace tersor::cpu
