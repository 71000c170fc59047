// Bit-packed codes, least significant bits first (see core/dtype.h). Eight codes of b bits are b whole bytes.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tersor::cpu {

// Codes are (un)packed in blocks of this many columns, which start on a byte for every width.
inline constexpr int64_t kPackBlock = 512;

inline void pack_codes(const uint8_t* codes, int64_t count, int bits, uint8_t* packed) {
  for (int64_t i = 0; i < count; i += 8) {
    const int64_t codes_here = std::min<int64_t>(8, count - i);
    uint32_t word = 0;
    for (int64_t j = 0; j < codes_here; ++j) word |= static_cast<uint32_t>(codes[i + j]) << (j * bits);
    for (int64_t byte = 0; byte * 8 < codes_here * bits; ++byte) *packed++ = static_cast<uint8_t>(word >> (byte * 8));
  }
}

inline void unpack_codes(const uint8_t* packed, int64_t count, int bits, uint8_t* codes) {
  const uint32_t mask = (1u << bits) - 1;
  for (int64_t i = 0; i < count; i += 8) {
    const int64_t codes_here = std::min<int64_t>(8, count - i);
    uint32_t word = 0;
    for (int64_t byte = 0; byte * 8 < codes_here * bits; ++byte) word |= static_cast<uint32_t>(*packed++) << (byte * 8);
    for (int64_t j = 0; j < codes_here; ++j) codes[i + j] = static_cast<uint8_t>(word >> (j * bits) & mask);
  }
}

}  // namespace tersor::cpu
