// Register tiles of exact u8 x i8 dot products, written once over a vector type; see gemm_tile.h for why it is
// anonymous.
//
// Vector brings: Register, Operand, kStep (products of one multiply_add along k), zero(), load_x(p), load_w(p),
// load_x(p, count), load_w(p, count) (count < kStep, the rest 0), multiply_add(sum, x, w), sum4(a, b, c, d) -> __m128i.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace tersor::cpu {
namespace {

template <typename Vector, int kRows, int kColumns>
void int8_tile(int64_t k, const uint8_t* x, int64_t x_stride, const int8_t* w, int64_t w_stride, int32_t* sums,
               int64_t sums_stride, bool accumulate) {
  using Operand = typename Vector::Operand;
  typename Vector::Register partial[kRows][4];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) partial[i][j] = Vector::zero();
  }
  int64_t p = 0;
  for (; p + Vector::kStep <= k; p += Vector::kStep) {
    Operand rows[kRows];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) rows[i] = Vector::load_x(x + i * x_stride + p);
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) {
      const Operand column = Vector::load_w(w + j * w_stride + p);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) partial[i][j] = Vector::multiply_add(partial[i][j], rows[i], column);
    }
  }
  if (p < k) {
    const int rest = static_cast<int>(k - p);
    Operand rows[kRows];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) rows[i] = Vector::load_x(x + i * x_stride + p, rest);
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) {
      const Operand column = Vector::load_w(w + j * w_stride + p, rest);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) partial[i][j] = Vector::multiply_add(partial[i][j], rows[i], column);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    alignas(16) int32_t row[4];
    _mm_store_si128(reinterpret_cast<__m128i*>(row),
                    Vector::sum4(partial[i][0], partial[i][1], partial[i][2], partial[i][3]));
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j)
      sums[i * sums_stride + j] = accumulate ? sums[i * sums_stride + j] + row[j] : row[j];
  }
}

template <typename Vector, int kTileRows>
struct Int8Tiles {
  static void multiply(int64_t k, const uint8_t* x, int64_t x_stride, int64_t rows, const int8_t* w, int64_t w_stride,
                       int64_t columns, int32_t* sums, int64_t sums_stride, bool accumulate) {
    for (int64_t j = 0; j < columns; j += 4) {
      by_columns<4>(k, x, x_stride, rows, w + j * w_stride, w_stride, columns - j, sums + j, sums_stride, accumulate);
    }
  }

 private:
  template <int kColumns>
  static void by_columns(int64_t k, const uint8_t* x, int64_t x_stride, int64_t rows, const int8_t* w, int64_t w_stride,
                         int64_t columns, int32_t* sums, int64_t sums_stride, bool accumulate) {
    if constexpr (kColumns > 1) {
      if (columns < kColumns) {
        return by_columns<kColumns - 1>(k, x, x_stride, rows, w, w_stride, columns, sums, sums_stride, accumulate);
      }
    }
    for (int64_t i = 0; i < rows; i += kTileRows) {
      by_rows<kTileRows, kColumns>(k, x + i * x_stride, x_stride, rows - i, w, w_stride, sums + i * sums_stride,
                                   sums_stride, accumulate);
    }
  }

  template <int kRows, int kColumns>
  static void by_rows(int64_t k, const uint8_t* x, int64_t x_stride, int64_t rows, const int8_t* w, int64_t w_stride,
                      int32_t* sums, int64_t sums_stride, bool accumulate) {
    if constexpr (kRows > 1) {
      if (rows < kRows)
        return by_rows<kRows - 1, kColumns>(k, x, x_stride, rows, w, w_stride, sums, sums_stride, accumulate);
    }
    int8_tile<Vector, kRows, kColumns>(k, x, x_stride, w, w_stride, sums, sums_stride, accumulate);
  }
};

}  // namespace
}  // namespace tersor::cpu
