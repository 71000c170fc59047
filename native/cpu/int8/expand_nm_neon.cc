#include <arm_neon.h>

#include "cpu/int8/expand_nm.h"
#include "cpu/int8/int4_neon.h"
#include "cpu/vector/by_element_neon.h"

namespace tersor::cpu {
namespace {

// Four times the place where the word of each of four rows begins.
uint8x16_t words_of_rows() { return uint8x16_t{0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12}; }

uint8x16_t of_columns(uint32_t bytes) { return vreinterpretq_u8_u32(vdupq_n_u32(bytes)); }

// Four rows at a time. Where a step's mask has a bit for each column, those that are stored before a column count to
// its value.
template <int kHeld, int kBits>
void expand(const uint8_t* eights, int64_t count, int8_t* to) {
  constexpr int kVectors = 8 / kBits, kSteps = kInt8Depth / kHeld;
  constexpr int64_t kMaskBytes = kNmInt8HalfRows * 4;
  constexpr int64_t kHalfBytes = kMaskBytes + kNmInt8HalfRows * kNmInt8Steps * kHeld * kBits / 8;
  const uint8x16_t first = words_of_rows(), third = vaddq_u8(first, vdupq_n_u8(2));
  for (int64_t half = 0; half < 2 * count; ++half, eights += kHalfBytes) {
    for (int64_t line = 0; line < kHalfBytes; line += 64) __builtin_prefetch(eights + kNmInt8AheadBytes + line);
    for (int64_t row = 0; row < kNmInt8HalfRows; row += 4) {
      uint16x8_t masks = vreinterpretq_u16_u8(vld1q_u8(eights + row * 4));
      const uint8_t* from = eights + kMaskBytes + row * 4;
      int8_t* at = to + half / 2 * kNmInt8Steps * kInt8StepBytes + half % 2 * 64 + row * kInt8Depth;
      for (int64_t step = 0; step < kNmInt8Steps; step += kVectors * kSteps, from += 64) {
        int8x16_t values[kVectors];
        load_integers<kBits>(from, values);
        for_constants<kVectors * kSteps>([&](auto s) __attribute__((always_inline)) {
          // In every byte of a row: of even steps the lowest bits of a mask's low half, of odd ones of its high half.
          const uint8x16_t mask = vqtbl1q_u8(vreinterpretq_u8_u16(masks), s % 2 == 0 ? first : third);
          if constexpr (s % 2 == 1) masks = vshrq_n_u16(masks, 4);
          uint8x16_t place = vaddq_u8(first, vdupq_n_u8(s % kSteps * kHeld));
          if constexpr (kHeld == 2) {
            place = vaddq_u8(place, vcntq_u8(vandq_u8(mask, of_columns(0x07030100u))));
          }
          const uint8x16_t stored = vtstq_u8(mask, of_columns(0x08040201u));
          vst1q_s8(at, vandq_s8(vqtbl1q_s8(values[s / kSteps], place), vreinterpretq_s8_u8(stored)));
          at += kInt8StepBytes;
        });
      }
    }
  }
}

// Steps of four bits.
void expand_steps(const uint8_t* from, int64_t count, int8_t* to) {
  for (int64_t step = 0; step < count; ++step, to += kInt8StepBytes) {
    __builtin_prefetch(from + kNmInt8AheadBytes);
    for (int64_t at = 0; at < 64; at += 16, from += 16) {
      int8x16_t values[2];
      load_integers<4>(from, values);
      vst1q_s8(to + at, values[0]);
      vst1q_s8(to + 64 + at, values[1]);
    }
  }
}

}  // namespace

void expand_nm_neon(const uint8_t* eights, int64_t count, int64_t held, int64_t bits, int8_t* to) {
  if (held == kInt8Depth) return expand_steps(eights, count * kNmInt8Steps, to);
  if (held == 1) return bits == 4 ? expand<1, 4>(eights, count, to) : expand<1, 8>(eights, count, to);
  if (bits == 4) return expand<2, 4>(eights, count, to);
  expand<2, 8>(eights, count, to);
}

}  // namespace tersor::cpu
