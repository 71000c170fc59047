// Products of matrices that are in cache, and transposes, over vectors of any ISA.
#pragma once

#include <cstdint>

#include "cpu/vector/lanes.h"

namespace tersor::cpu {
namespace {

// A matrix whose element (i, p) is data[i * row_stride + p * column_stride].
struct Strided {
  const float* data;
  int64_t row_stride, column_stride;
};

// A tile of kRows x kVectors registers; `lanes` are those of the last vector. kAdjacent: a's rows are neighbours in
// memory (row_stride 1), which spares their pointers.
template <typename Vector, int kRows, int kVectors, bool kAdjacent, typename Lanes>
void small_tile(int64_t depth, const Strided& a, const float* b, int64_t b_stride, float* c, int64_t c_stride,
                bool accumulate, Lanes lanes) {
  using Register = typename Vector::Register;
  constexpr int kLast = kVectors - 1;
  const float* rows[kRows];
  Register sums[kRows][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    rows[i] = kAdjacent ? a.data + i : a.data + i * a.row_stride;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[i][v] = Vector::all(0.0f);
  }
  int64_t offset = 0;
  for (int64_t p = 0; p < depth; ++p, offset += a.column_stride, b += b_stride) {
    Register columns[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kLast; ++v) columns[v] = Vector::load(b + v * Vector::kWidth);
    columns[kLast] = load_lanes<Vector>(b + kLast * Vector::kWidth, lanes);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const Register factor = Vector::all(rows[i][offset]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[i][v] = Vector::multiply_add(factor, columns[v], sums[i][v]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    float* out = c + i * c_stride;
#pragma GCC unroll 4
    for (int v = 0; v < kLast; ++v, out += Vector::kWidth) {
      Vector::store(out, accumulate ? Vector::load(out) + sums[i][v] : sums[i][v]);
    }
    const Register sum = accumulate ? load_lanes<Vector>(out, lanes) + sums[i][kLast] : sums[i][kLast];
    store_lanes<Vector>(out, sum, lanes);
  }
}

template <typename Vector, int kVectors, bool kAdjacent, typename Lanes>
void small_columns(int64_t rows, int64_t depth, Strided a, const float* b, int64_t b_stride, float* c, int64_t c_stride,
                   bool accumulate, Lanes lanes) {
  const auto done = [&](int64_t count) {
    a.data += count * a.row_stride;
    c += count * c_stride;
    rows -= count;
  };
  for (; rows >= Vector::kSmallRows; done(Vector::kSmallRows)) {
    small_tile<Vector, Vector::kSmallRows, kVectors, kAdjacent>(depth, a, b, b_stride, c, c_stride, accumulate, lanes);
  }
  if constexpr (Vector::kSmallRows > 8) {
    if (rows >= 8) {
      small_tile<Vector, 8, kVectors, kAdjacent>(depth, a, b, b_stride, c, c_stride, accumulate, lanes);
      done(8);
    }
  }
  if (rows >= 4) {
    small_tile<Vector, 4, kVectors, kAdjacent>(depth, a, b, b_stride, c, c_stride, accumulate, lanes);
    done(4);
  }
  if (rows >= 2) {
    small_tile<Vector, 2, kVectors, kAdjacent>(depth, a, b, b_stride, c, c_stride, accumulate, lanes);
    done(2);
  }
  if (rows >= 1) {
    small_tile<Vector, 1, kVectors, kAdjacent>(depth, a, b, b_stride, c, c_stride, accumulate, lanes);
  }
}

template <typename Vector, bool kAdjacent>
void small_product_of(int64_t rows, int64_t columns, int64_t depth, const Strided& a, const float* b, int64_t b_stride,
                      float* c, int64_t c_stride, bool accumulate) {
  constexpr int64_t kPair = 2 * Vector::kWidth;
  int64_t j = 0;
  for (; j + kPair <= columns; j += kPair) {
    small_columns<Vector, 2, kAdjacent>(rows, depth, a, b + j, b_stride, c + j, c_stride, accumulate, AllLanes{});
  }
  const auto rest = static_cast<int>(columns - j);
  if (rest > Vector::kWidth) {
    small_columns<Vector, 2, kAdjacent>(rows, depth, a, b + j, b_stride, c + j, c_stride, accumulate,
                                        rest - Vector::kWidth);
  } else if (rest > 0) {
    small_columns<Vector, 1, kAdjacent>(rows, depth, a, b + j, b_stride, c + j, c_stride, accumulate, rest);
  }
}

// c[i * c_stride + j] = (accumulate ? c : 0) + sum_p a(i, p) * b[p * b_stride + j], i < rows, j < columns, p < depth.
// b and c should be in L1 or L2; the sum is taken in order of p.
template <typename Vector>
void small_product(int64_t rows, int64_t columns, int64_t depth, const Strided& a, const float* b, int64_t b_stride,
                   float* c, int64_t c_stride, bool accumulate) {
  if (a.row_stride == 1) {
    small_product_of<Vector, true>(rows, columns, depth, a, b, b_stride, c, c_stride, accumulate);
  } else {
    small_product_of<Vector, false>(rows, columns, depth, a, b, b_stride, c, c_stride, accumulate);
  }
}

// to[j * to_stride + i] = from[i * from_stride + j] for i < rows, j < columns.
template <typename Vector>
void transpose(int64_t rows, int64_t columns, const float* from, int64_t from_stride, float* to, int64_t to_stride) {
  constexpr int64_t kSquare = Vector::kSquare;
  int64_t i = 0;
  for (; i + kSquare <= rows; i += kSquare) {
    int64_t j = 0;
    for (; j + kSquare <= columns; j += kSquare) {
      Vector::transpose(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride);
    }
    for (; j < columns; ++j) {
      for (int64_t k = i; k < i + kSquare; ++k) to[j * to_stride + k] = from[k * from_stride + j];
    }
  }
  for (; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) to[j * to_stride + i] = from[i * from_stride + j];
  }
}

}  // namespace
}  // namespace tersor::cpu
