// Four by four words at a time, in vectors that every target has.
#include <cstring>

#include "cpu/sparse/transpose.h"

namespace tersor::cpu {

void transpose_scalar(const void* from, int64_t from_bytes, int64_t rows, int64_t columns, void* to, int64_t to_words) {
  using Four [[gnu::vector_size(16)]] = int32_t;
  const auto source = [&](int64_t i, int64_t j) { return static_cast<const uint8_t*>(from) + i * from_bytes + j * 4; };
  const auto target = [&](int64_t j, int64_t i) { return static_cast<uint8_t*>(to) + (j * to_words + i) * 4; };
  const auto one = [&](int64_t i, int64_t j) { std::memcpy(target(j, i), source(i, j), 4); };
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    int64_t j = 0;
    for (; j + 4 <= columns; j += 4) {
      Four row[4];
      for (int64_t r = 0; r < 4; ++r) std::memcpy(&row[r], source(i + r, j), sizeof row[r]);
      const Four low02 = __builtin_shufflevector(row[0], row[2], 0, 4, 1, 5);
      const Four low13 = __builtin_shufflevector(row[1], row[3], 0, 4, 1, 5);
      const Four high02 = __builtin_shufflevector(row[0], row[2], 2, 6, 3, 7);
      const Four high13 = __builtin_shufflevector(row[1], row[3], 2, 6, 3, 7);
      const Four column[4] = {
          __builtin_shufflevector(low02, low13, 0, 4, 1, 5), __builtin_shufflevector(low02, low13, 2, 6, 3, 7),
          __builtin_shufflevector(high02, high13, 0, 4, 1, 5), __builtin_shufflevector(high02, high13, 2, 6, 3, 7)};
      for (int64_t c = 0; c < 4; ++c) std::memcpy(target(j + c, i), &column[c], sizeof column[c]);
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
