// 4 x 4 words of 32 bits turned, in vectors that every target has. Anonymous, so that every ISA file has its own copy.
#pragma once

#include <cstdint>
#include <cstring>

namespace tersor::cpu {
namespace {

// Rows start `from_bytes` and `to_bytes` apart; none needs to be aligned.
inline void transpose_four(const void* from, int64_t from_bytes, void* to, int64_t to_bytes) {
  using Four [[gnu::vector_size(16)]] = int32_t;
  Four row[4];
  for (int i = 0; i < 4; ++i) std::memcpy(&row[i], static_cast<const uint8_t*>(from) + i * from_bytes, sizeof row[i]);
  const Four low02 = __builtin_shufflevector(row[0], row[2], 0, 4, 1, 5);
  const Four low13 = __builtin_shufflevector(row[1], row[3], 0, 4, 1, 5);
  const Four high02 = __builtin_shufflevector(row[0], row[2], 2, 6, 3, 7);
  const Four high13 = __builtin_shufflevector(row[1], row[3], 2, 6, 3, 7);
  const Four column[4] = {
      __builtin_shufflevector(low02, low13, 0, 4, 1, 5), __builtin_shufflevector(low02, low13, 2, 6, 3, 7),
      __builtin_shufflevector(high02, high13, 0, 4, 1, 5), __builtin_shufflevector(high02, high13, 2, 6, 3, 7)};
  for (int i = 0; i < 4; ++i) std::memcpy(static_cast<uint8_t*>(to) + i * to_bytes, &column[i], sizeof column[i]);
}

}  // namespace
}  // namespace tersor::cpu
