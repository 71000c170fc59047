// The body of every tall_<isa>.cc: nothing is packed, since a matrix that meets few columns is read about once.
#pragma once

#include "cpu/linalg/panel_update.h"
#include "cpu/linalg/tall_kernels.h"

namespace tersor::cpu {
namespace {

constexpr int kVector = WideVectorF32::kWidth;

// A register tile is `kVectors` wide and as high as registers allow.
#if defined(__AVX512F__)
constexpr int kMostVectors = 5;
constexpr int kTileHeights[] = {0, 8, 12, 8, 6, 5};
#elif defined(__AVX2__)
constexpr int kMostVectors = 3;
constexpr int kTileHeights[] = {0, 8, 6, 4};
#elif TERSOR_NEON
constexpr int kMostVectors = 3;
constexpr int kTileHeights[] = {0, 8, 8, 8};
#else
constexpr int kMostVectors = 8;
constexpr int kTileHeights[] = {0, 4, 4, 4, 4, 4, 4, 4, 4};
#endif

constexpr int64_t kDepth = 96;  // numbers of x in a product at a time: a tile's columns of them stay in L1

// Calls body(first vector, count) for a row of so many vectors, in equal parts of at most kMostVectors.
template <typename Body>
void for_parts(int64_t vectors, Body&& body) {
  const int64_t parts = (vectors + kMostVectors - 1) / kMostVectors;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t begin = vectors * part / parts;
    body(begin, static_cast<int>(vectors * (part + 1) / parts - begin));
  }
}

// Calls body.template operator()<count>() for count <= kMostVectors.
template <int kVectors = kMostVectors, typename Body>
void with_vectors(int count, Body&& body) {
  if constexpr (kVectors > 1) {
    if (count < kVectors) return with_vectors<kVectors - 1>(count, body);
  }
  body.template operator()<kVectors>();
}

// y = or += a * x for some of the depth, in tiles of rows.
template <int kVectors, PanelEnd kEnd>
void multiply_rows(const float* a, const float* next, int64_t rows, int64_t n, int64_t depth, const float* x,
                   int64_t x_stride, float* y, int64_t y_stride) {
  constexpr int kHeight = kTileHeights[kVectors];
  for (int64_t row = 0; row < rows; row += kHeight) {
    const int64_t count = rows - row < kHeight ? rows - row : kHeight;
    const float* from = a + row * n;
    float* to = y + row * y_stride;
    using Tile = PanelUpdate<WideVectorF32, kVectors, kHeight, kEnd>;
    if (count == kHeight && next != nullptr) {
      Tile::run_rows(depth, x, x_stride, from, n, to, y_stride, next + row * n);
      continue;
    }
    if (count == kHeight) {
      Tile::run_rows(depth, x, x_stride, from, n, to, y_stride);
      continue;
    }
    for (int64_t i = 0; i < count; ++i) {
      PanelUpdate<WideVectorF32, kVectors, 1, kEnd>::run_rows(depth, x, x_stride, from + i * n, n, to + i * y_stride,
                                                              y_stride);
    }
  }
}

void multiply(const float* a, const float* next, int64_t rows, int64_t n, const float* x, int64_t x_stride,
              int64_t width, float* y, int64_t y_stride) {
  for (int64_t p = 0; p < n; p += kDepth) {
    const int64_t depth = n - p < kDepth ? n - p : kDepth;
    for_parts(width / kVector, [&](int64_t vector, int count) {
      const float* columns = x + p * x_stride + vector * kVector;
      float* out = y + vector * kVector;
      const float* ahead = next == nullptr || vector > 0 ? nullptr : next + p;
      with_vectors(count, [&]<int kVectors>() {
        if (p == 0) {
          multiply_rows<kVectors, PanelEnd::assign>(a, ahead, rows, n, depth, columns, x_stride, out, y_stride);
        } else {
          multiply_rows<kVectors, PanelEnd::add>(a + p, ahead, rows, n, depth, columns, x_stride, out, y_stride);
        }
      });
    });
  }
}

void multiply_transposed(const float* a, int64_t rows, int64_t n, const float* y, int64_t y_stride, int64_t width,
                         float* z, int64_t z_stride) {
  for_parts(width / kVector, [&](int64_t vector, int vectors) {
    const float* lanes = y + vector * kVector;
    float* out = z + vector * kVector;
    with_vectors(vectors, [&]<int kVectors>() {
      constexpr int kHeight = kTileHeights[kVectors];
      int64_t column = 0;
      for (; column + kHeight <= n; column += kHeight) {
        PanelUpdate<WideVectorF32, kVectors, kHeight, PanelEnd::add>::run(rows, lanes, y_stride, a + column, n,
                                                                          out + column * z_stride, z_stride);
      }
      for (; column < n; ++column) {
        PanelUpdate<WideVectorF32, kVectors, 1, PanelEnd::add>::run(rows, lanes, y_stride, a + column, n,
                                                                    out + column * z_stride, z_stride);
      }
    });
  });
}

void add_rows(const float* const* rows, const float* factors, int64_t count, int64_t columns, float* sum) {
  using Vector = WideVectorF32;
  constexpr int kVectors = 8;
  int64_t column = 0;
  for (; column + kVectors * kVector <= columns; column += kVectors * kVector) {
    Vector::Register sums[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums[v] = Vector::load(sum + column + v * kVector);
    for (int64_t i = 0; i < count; ++i) {
      const auto factor = Vector::broadcast(factors + i);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        sums[v] = Vector::multiply_add(factor, Vector::load(rows[i] + column + v * kVector), sums[v]);
      }
    }
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) Vector::store(sum + column + v * kVector, sums[v]);
  }
  for (; column < columns; ++column) {
    for (int64_t i = 0; i < count; ++i) sum[column] += factors[i] * rows[i][column];
  }
}

constexpr TallKernels kTall = {
    .vector = kVector, .multiply = multiply, .multiply_transposed = multiply_transposed, .add_rows = add_rows};

}  // namespace
}  // namespace tersor::cpu
