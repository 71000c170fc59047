#include <cstring>

#include "cpu/sparse/transpose.h"
#include "cpu/vector/transpose_four.h"

namespace tersor::cpu {

void transpose_scalar(const void* from, int64_t from_bytes, int64_t rows, int64_t columns, void* to, int64_t to_words) {
  const auto source = [&](int64_t i, int64_t j) { return static_cast<const uint8_t*>(from) + i * from_bytes + j * 4; };
  const auto target = [&](int64_t j, int64_t i) { return static_cast<uint8_t*>(to) + (j * to_words + i) * 4; };
  const auto one = [&](int64_t i, int64_t j) { std::memcpy(target(j, i), source(i, j), 4); };
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    int64_t j = 0;
    for (; j + 4 <= columns; j += 4) {
      transpose_four(source(i, j), from_bytes, target(j, i), to_words * 4);
    }
    for (; j < columns; ++j) {
      for (int64_t r = 0; r < 4; ++r) one(i + r, j);
    }
  }
  for (; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) one(i, j);
  }
}

}  // namespace tersor::cpu
