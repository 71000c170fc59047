#include <arm_neon.h>

#include "cpu/product_codes/product_search.h"
#include "cpu/vector/by_element_neon.h"

namespace tersor::cpu {
namespace {

constexpr int kVectors = kProductRows / 16;

// Sums of bytes that stop at the largest, of the 64 rows of a tile.
struct Sums {
  uint16x8_t low[kVectors], high[kVectors];

  // The rows whose sums are `least` or more.
  uint64_t rows(uint16_t least) const {
    const uint16x8_t limit = vdupq_n_u16(least);
    uint8x16_t enough[kVectors];
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
      enough[v] =
          vuzp1q_u8(vreinterpretq_u8_u16(vcgeq_u16(low[v], limit)), vreinterpretq_u8_u16(vcgeq_u16(high[v], limit)));
    });
    const uint8x16_t any = vorrq_u8(vorrq_u8(enough[0], enough[1]), vorrq_u8(enough[2], enough[3]));
    if (vmaxvq_u8(any) == 0) return 0;
    // A bit of each byte; sums of pairs make bytes of eight rows.
    const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) { enough[v] = vandq_u8(enough[v], bit); });
    const uint8x16_t lower = vpaddq_u8(enough[0], enough[1]), upper = vpaddq_u8(enough[2], enough[3]);
    const uint8x16_t fours = vpaddq_u8(lower, upper);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(fours, fours)), 0);
  }
};

}  // namespace

uint64_t product_filter4_neon(const uint8_t* tile, int64_t subspaces, const uint8_t* tables, uint16_t least) {
  Sums sums = {};
  for (int64_t s = 0; s < subspaces; s += 2, tile += kProductRows, tables += 32) {
    const uint8x16_t even = vld1q_u8(tables), odd = vld1q_u8(tables + 16);
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
      const uint8x16_t codes = vld1q_u8(tile + 16 * v);
      const uint8x16_t first = vqtbl1q_u8(even, vandq_u8(codes, vdupq_n_u8(15)));
      const uint8x16_t second = vqtbl1q_u8(odd, vshrq_n_u8(codes, 4));
      sums.low[v] = vqaddq_u16(sums.low[v], vaddl_u8(vget_low_u8(first), vget_low_u8(second)));
      sums.high[v] = vqaddq_u16(sums.high[v], vaddl_high_u8(first, second));
    });
  }
  return sums.rows(least);
}

// A quarter of a table is four registers: codes of the other quarters find nothing there and keep what they have.
uint64_t product_filter8_neon(const uint8_t* tile, int64_t subspaces, const uint8_t* tables, uint16_t least) {
  Sums sums = {};
  for (int64_t s = 0; s < subspaces; ++s, tile += kProductRows, tables += 256) {
    uint8x16_t codes[kVectors], values[kVectors];
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) { codes[v] = vld1q_u8(tile + 16 * v); });
    for_constants<4>([&](auto quarter) __attribute__((always_inline)) {
      const uint8x16x4_t table = vld1q_u8_x4(tables + 64 * quarter);
      for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
        if constexpr (quarter == 0) {
          values[v] = vqtbl4q_u8(table, codes[v]);
        } else {
          codes[v] = vsubq_u8(codes[v], vdupq_n_u8(64));
          values[v] = vqtbx4q_u8(values[v], table, codes[v]);
        }
      });
    });
    for_constants<kVectors>([&](auto v) __attribute__((always_inline)) {
      sums.low[v] = vqaddq_u16(sums.low[v], vmovl_u8(vget_low_u8(values[v])));
      sums.high[v] = vqaddq_u16(sums.high[v], vmovl_high_u8(values[v]));
    });
  }
  return sums.rows(least);
}

}  // namespace tersor::cpu
