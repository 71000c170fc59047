// Integers -8..7 in four bits each: 64 bytes hold 128, byte i number i in its low half and number 64 + i in its high
// half, both + 8. Halves far apart are brought into order by shifts alone.
#pragma once

#include <cstdint>

namespace tersor::cpu {

inline constexpr int64_t kInt4Together = 128;
inline constexpr uint8_t kInt4Zeros = 0x88;  // two numbers 0

inline int8_t get_int4(const uint8_t* data, int64_t i) {
  const int bits = data[i / kInt4Together * 64 + i % 64] >> (i / 64 % 2 * 4) & 15;
  return static_cast<int8_t>(bits - 8);
}

inline void set_int4(uint8_t* data, int64_t i, int8_t value) {
  uint8_t& byte = data[i / kInt4Together * 64 + i % 64];
  const int64_t shift = i / 64 % 2 * 4;
  byte = static_cast<uint8_t>((byte & ~(15 << shift)) | (value + 8) << shift);
}

}  // namespace tersor::cpu
