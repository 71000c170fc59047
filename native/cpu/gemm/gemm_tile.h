// Register tiles of the f32 GEMM, written once over a vector type and compiled by every ISA file for itself: everything
// is in an anonymous namespace, so that no copy made with ISA flags can be linked into baseline code.
//
// Vector brings: Register, Mask, kWidth, mask(n), zero(), load(p), load(p, mask), broadcast(p), add, multiply_add(a, b,
// c), store(p, v), store(p, v, mask), sum4(a, b, c, d) -> __m128 of the four sums.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace tersor::cpu {
namespace {

// One tile of kRows x (kVectors * width) products over panels; the last vector covers only the columns of `mask` when
// kMasked.
template <typename Vector, int kTileRows, int kRows, int kVectors, bool kMasked>
void panel_tile(int64_t k, const float* a, const float* b, int64_t ldb, float* c, int64_t ldc,
                typename Vector::Mask mask, bool accumulate) {
  using Register = typename Vector::Register;
  Register sums[kRows][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[i][v] = Vector::zero();
  }
  for (int64_t p = 0; p < k; ++p) {
    Register columns[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const bool masked = kMasked && v == kVectors - 1;
      columns[v] = masked ? Vector::load(b + v * Vector::kWidth, mask) : Vector::load(b + v * Vector::kWidth);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const Register factor = Vector::broadcast(a + i);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[i][v] = Vector::multiply_add(factor, columns[v], sums[i][v]);
    }
    a += kTileRows;
    b += ldb;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      float* out = c + i * ldc + v * Vector::kWidth;
      if (kMasked && v == kVectors - 1) {
        if (accumulate) sums[i][v] = Vector::add(Vector::load(out, mask), sums[i][v]);
        Vector::store(out, sums[i][v], mask);
      } else {
        if (accumulate) sums[i][v] = Vector::add(Vector::load(out), sums[i][v]);
        Vector::store(out, sums[i][v]);
      }
    }
  }
}

// Picks the instance for the tile's true height and width.
template <typename Vector, int kTileRows, int kVectors>
struct PanelTiles {
  static void multiply(int64_t k, const float* a, const float* b, int64_t ldb, float* c, int64_t ldc, int rows,
                       int columns, bool accumulate) {
    by_rows<kTileRows>(k, a, b, ldb, c, ldc, rows, columns, accumulate);
  }

 private:
  template <int kRows>
  static void by_rows(int64_t k, const float* a, const float* b, int64_t ldb, float* c, int64_t ldc, int rows,
                      int columns, bool accumulate) {
    if constexpr (kRows > 1) {
      if (rows < kRows) return by_rows<kRows - 1>(k, a, b, ldb, c, ldc, rows, columns, accumulate);
    }
    by_vectors<kRows, kVectors>(k, a, b, ldb, c, ldc, columns, accumulate);
  }

  template <int kRows, int kCount>
  static void by_vectors(int64_t k, const float* a, const float* b, int64_t ldb, float* c, int64_t ldc, int columns,
                         bool accumulate) {
    if constexpr (kCount > 1) {
      if (columns <= (kCount - 1) * Vector::kWidth) {
        return by_vectors<kRows, kCount - 1>(k, a, b, ldb, c, ldc, columns, accumulate);
      }
    }
    const auto mask = Vector::mask(columns - (kCount - 1) * Vector::kWidth);
    if (columns == kCount * Vector::kWidth) {
      panel_tile<Vector, kTileRows, kRows, kCount, false>(k, a, b, ldb, c, ldc, mask, accumulate);
    } else {
      panel_tile<Vector, kTileRows, kRows, kCount, true>(k, a, b, ldb, c, ldc, mask, accumulate);
    }
  }
};

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
    _mm_store_ps(row, Vector::sum4(sums[i][0], sums[i][1], sums[i][2], sums[i][3]));
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
