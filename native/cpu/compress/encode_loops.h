// The loops of encode.h, which the compiler vectorises for the instruction set of the file that includes them;
// anonymous, so that none of them is linked into code for other machines.
#pragma once

#include <cstring>

#include "cpu/compress/encode.h"

namespace tersor::cpu {
namespace {

constexpr int64_t kEncodeBlock = 64;
constexpr uint32_t kExponent = 0x7f800000u;

// A division takes longer than all the rest, so it is left out where it cannot matter: x * (1 / scale) is within
// 3 * 2^-24 of the quotient in relative terms, at most 1.9e-4 for codes up to 1024, and numbers that close to a half
// are the only ones that it could round to another code. A block that has one divides.
constexpr float kSure = 0.5f - 0x1p-12f;

inline bool may_multiply(const Encoding& e) {
  return e.lower >= -1024 && e.upper <= 1024 && e.scale >= 0x1p-120f && e.scale <= 0x1p120f;
}

// True when a number is NaN or infinite.
inline bool encode_block(const Encoding& e, bool multiply, float inverse, const float* x, uint8_t* codes) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves no bits below one
  uint32_t bad = 0, unsure = multiply ? 0 : 1;
  for (int64_t j = 0; j < kEncodeBlock; ++j) {
    uint32_t bits;
    std::memcpy(&bits, x + j, 4);
    bad |= (bits & kExponent) == kExponent ? 1u : 0u;
    const float v = (x[j] - e.bias) * inverse;
    const float above = v > e.lower ? v : e.lower;
    const float inside = above < e.upper ? above : e.upper;
    const float step = (inside + kRound) - kRound;
    const float apart = inside - step;
    unsure |= (apart > kSure) | (apart < -kSure) ? 1u : 0u;
    codes[j] = static_cast<uint8_t>(static_cast<int32_t>(step) + e.zero_point);
  }
  if (unsure != 0) {
    for (int64_t j = 0; j < kEncodeBlock; ++j) {
      const float v = (x[j] - e.bias) / e.scale;
      const float above = v > e.lower ? v : e.lower;
      const float inside = above < e.upper ? above : e.upper;
      codes[j] = static_cast<uint8_t>(static_cast<int32_t>((inside + kRound) - kRound) + e.zero_point);
    }
  }
  return bad != 0;
}

inline bool encode_run(const Encoding& e, const float* x, int64_t count, uint8_t* codes) {
  const bool multiply = may_multiply(e);
  const float inverse = 1.0f / e.scale;
  uint32_t bad = 0;
  int64_t i = 0;
  for (; i + kEncodeBlock <= count; i += kEncodeBlock) {
    bad |= encode_block(e, multiply, inverse, x + i, codes + i) ? 1u : 0u;
  }
  if (i < count) {
    const auto rest = static_cast<size_t>(count - i);
    float padded[kEncodeBlock] = {};
    uint8_t out[kEncodeBlock];
    std::memcpy(padded, x + i, rest * sizeof(float));
    bad |= encode_block(e, multiply, inverse, padded, out) ? 1u : 0u;
    std::memcpy(codes + i, out, rest);
  }
  return bad == 0;
}

// By bits turned so that integers are in the order of the floats: a maximum of integers vectorises, and infinity and
// NaN are the outermost.
inline Range range_of_run(const float* x, int64_t count) {
  constexpr int32_t kInfinity = 0x7f800000;
  const auto ordered = [](int32_t bits) { return bits ^ ((bits >> 31) & 0x7fffffff); };
  int32_t low = 0, high = 0;
  for (int64_t i = 0; i < count; ++i) {
    int32_t bits;
    std::memcpy(&bits, x + i, 4);
    const int32_t key = ordered(bits);
    low = key < low ? key : low;
    high = key > high ? key : high;
  }
  const bool finite = high < kInfinity && low > ordered(static_cast<int32_t>(0xff800000u));
  Range range = {0, 0, finite};
  low = ordered(low);
  std::memcpy(&range.low, &low, 4);
  std::memcpy(&range.high, &high, 4);
  return range;
}

}  // namespace
}  // namespace tersor::cpu
