// Activations turned so that one column of 16 rows is contiguous: what the tile kernels read.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/sparse/csr_kernels.h"

namespace tersor::cpu {

using FourWords [[gnu::vector_size(16)]] = int32_t;

inline FourWords load_four(const float* x) {
  FourWords words;
  std::memcpy(&words, x, sizeof words);
  return words;
}

inline FourWords load_four(const uint8_t* x) { return FourWords{x[0], x[1], x[2], x[3]}; }

// tile[k][i] = x[i][k] for i < rows, 0 for the other lanes; `Word` is float, or int32_t for u8 activations.
template <typename Element, typename Word>
void transpose_tile(const Element* x, int64_t rows, int64_t columns, Word* tile) {
  static_assert(sizeof(Word) == sizeof(int32_t));
  int64_t k = 0;
  for (; k + 4 <= columns; k += 4) {
    for (int64_t i = 0; i < kCsrTile; i += 4) {
      const auto load = [&](int64_t r) { return i + r < rows ? load_four(x + (i + r) * columns + k) : FourWords{}; };
      const FourWords row[4] = {load(0), load(1), load(2), load(3)};
      const FourWords low02 = __builtin_shufflevector(row[0], row[2], 0, 4, 1, 5);
      const FourWords low13 = __builtin_shufflevector(row[1], row[3], 0, 4, 1, 5);
      const FourWords high02 = __builtin_shufflevector(row[0], row[2], 2, 6, 3, 7);
      const FourWords high13 = __builtin_shufflevector(row[1], row[3], 2, 6, 3, 7);
      const FourWords column[4] = {
          __builtin_shufflevector(low02, low13, 0, 4, 1, 5), __builtin_shufflevector(low02, low13, 2, 6, 3, 7),
          __builtin_shufflevector(high02, high13, 0, 4, 1, 5), __builtin_shufflevector(high02, high13, 2, 6, 3, 7)};
      for (int64_t q = 0; q < 4; ++q) std::memcpy(tile + (k + q) * kCsrTile + i, &column[q], sizeof column[q]);
    }
  }
  for (; k < columns; ++k) {
    for (int64_t i = 0; i < kCsrTile; ++i) {
      tile[k * kCsrTile + i] = i < rows ? static_cast<Word>(x[i * columns + k]) : Word{0};
    }
  }
}

}  // namespace tersor::cpu
