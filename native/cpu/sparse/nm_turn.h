// `turn` of an N:M product by squares of Vector::kSquare. Anonymous, so that every ISA file has its own copy.
#pragma once

#include "cpu/sparse/nm_gemm.h"

namespace tersor::cpu {
namespace {

template <typename Vector>
void turn(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to, int64_t to_stride) {
  if (rows < 16 || columns < 16) {
    for (int64_t c = 0; c < 16; ++c) {
      for (int64_t r = 0; r < 16; ++r)
        to[c * to_stride + r] = r < rows && c < columns ? from[r * from_stride + c] : 0.0f;
    }
    return;
  }
  constexpr int64_t kSquare = Vector::kSquare;
  for (int64_t r = 0; r < 16; r += kSquare) {
    for (int64_t c = 0; c < 16; c += kSquare)
      Vector::transpose(from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride);
  }
}

}  // namespace
}  // namespace tersor::cpu
