// The reference: the definition, one value after the other.
#include <cstring>

#include "cpu/int8/expand_nm.h"
#include "cpu/int8/int4.h"

namespace tersor::cpu {
namespace {

int8_t value_at(const uint8_t* values, int64_t bits, int64_t place) {
  return bits == 4 ? get_int4(values, place) : static_cast<int8_t>(values[place]);
}

}  // namespace

void expand_nm_scalar(const uint8_t* eights, int64_t count, int64_t held, int64_t bits, int8_t* to) {
  if (held == kInt8Depth) {
    for (int64_t i = 0; i < count * kNmInt8Steps * kInt8StepBytes; ++i) to[i] = get_int4(eights, i);
    return;
  }
  const PackedNmInt8 layout = {.data = nullptr, .rows = 0, .columns = 0, .held = held, .bits = bits};
  for (int64_t half = 0; half < 2 * count; ++half, eights += layout.half_bytes()) {
    const uint8_t* values = eights + layout.mask_bytes();
    int8_t* first = to + half / 2 * kNmInt8Steps * kInt8StepBytes + half % 2 * kNmInt8HalfRows * kInt8Depth;
    for (int64_t row = 0; row < kNmInt8HalfRows; ++row) {
      uint32_t mask;
      std::memcpy(&mask, eights + row * 4, sizeof mask);
      for (int64_t step = 0; step < kNmInt8Steps; ++step) {
        const int64_t place = layout.place(step, row);
        int8_t* four = first + step * kInt8StepBytes + row * kInt8Depth;
        // A mask that pack_nm_int8 did not make may name more values than there are.
        int64_t next = 0;
        for (int64_t k = 0; k < kInt8Depth; ++k) {
          const bool stored = (mask >> (nm_mask_shift(step) + k) & 1) != 0 && next < held;
          four[k] = stored ? value_at(values, bits, place + next++) : int8_t{0};
        }
      }
    }
  }
}

}  // namespace tersor::cpu
