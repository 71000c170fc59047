// The body of every tall_<isa>.cc: nothing is packed, since a matrix that meets few columns is read about once.
#pragma once

#include "cpu/linalg/panel_update.h"
#include "cpu/linalg/tall_kernels.h"

namespace tersor::cpu {
namespace {

constexpr int kVector = PanelUpdateF32::kLanes / kPanelVectorsF32, kColumns = PanelUpdateF32::kColumns;

// c[j][lane] -= sum over p < depth of a[p][lane] * b(p, j) for j < columns <= kColumns.
template <int kVectors>
void update(int64_t depth, const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t b_column_stride,
            int64_t columns, float* c, int64_t c_stride) {
  if (columns == kColumns && b_column_stride == 1) {
    PanelUpdate<WideVectorF32, kVectors, kColumns>::run(depth, a, a_stride, b, b_stride, c, c_stride);
  } else if (columns == kColumns) {
    PanelUpdate<WideVectorF32, kVectors, kColumns>::run_rows(depth, a, a_stride, b, b_column_stride, c, c_stride);
  } else {
    for (int64_t j = 0; j < columns; ++j) {
      PanelUpdate<WideVectorF32, kVectors, 1>::run(depth, a, a_stride, b + j * b_column_stride, b_stride,
                                                   c + j * c_stride, c_stride);
    }
  }
}

// All lanes of a row, as many vectors at a time as a tile has.
inline void update_width(int64_t depth, const float* a, const float* b, int64_t b_stride, int64_t b_column_stride,
                         int64_t columns, float* c, int64_t width) {
  int64_t lane = 0;
  for (; lane + kPanelVectorsF32 * kVector <= width; lane += kPanelVectorsF32 * kVector) {
    update<kPanelVectorsF32>(depth, a + lane, width, b, b_stride, b_column_stride, columns, c + lane, width);
  }
  for (; lane + 2 * kVector <= width; lane += 2 * kVector) {
    update<2>(depth, a + lane, width, b, b_stride, b_column_stride, columns, c + lane, width);
  }
  for (; lane < width; lane += kVector) {
    update<1>(depth, a + lane, width, b, b_stride, b_column_stride, columns, c + lane, width);
  }
}

inline void multiply(const float* a, int64_t rows, int64_t n, const float* x, int64_t width, float* y) {
  for (int64_t row = 0; row < rows; row += kColumns) {
    const int64_t count = rows - row < kColumns ? rows - row : kColumns;
    update_width(n, x, a + row * n, 1, n, count, y + row * width, width);
  }
}

inline void multiply_transposed(const float* a, int64_t rows, int64_t n, const float* y, int64_t width, float* z) {
  for (int64_t column = 0; column < n; column += kColumns) {
    const int64_t count = n - column < kColumns ? n - column : kColumns;
    update_width(rows, y, a + column, n, 1, count, z + column * width, width);
  }
}

constexpr TallKernels kTall = {.vector = kVector, .multiply = multiply, .multiply_transposed = multiply_transposed};

}  // namespace
}  // namespace tersor::cpu
