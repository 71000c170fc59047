// The reference: the definition, one value after the other.
#include <cstring>

#include "cpu/int8/expand_nm.h"

namespace tersor::cpu {

void expand_nm_scalar(const uint8_t* eights, int64_t count, int64_t held, int8_t* to) {
  const int64_t half_bytes = kNmInt8HalfRows * (4 + kNmInt8Steps * held);
  for (int64_t half = 0; half < 2 * count; ++half, eights += half_bytes) {
    int8_t* first = to + half / 2 * kNmInt8Steps * kInt8StepBytes + half % 2 * kNmInt8HalfRows * kInt8Depth;
    for (int64_t row = 0; row < kNmInt8HalfRows; ++row) {
      uint32_t mask;
      std::memcpy(&mask, eights + row * 4, sizeof mask);
      const uint8_t* values = eights + kNmInt8HalfRows * 4 + row * held;
      for (int64_t step = 0; step < kNmInt8Steps; ++step, mask >>= 4, values += kNmInt8HalfRows * held) {
        int8_t* four = first + step * kInt8StepBytes + row * kInt8Depth;
        // A mask that pack_nm_int8 did not make may name more values than there are.
        int64_t next = 0;
        for (int64_t k = 0; k < kInt8Depth; ++k) {
          const bool stored = (mask >> k & 1) != 0 && next < held;
          four[k] = stored ? static_cast<int8_t>(values[next++]) : int8_t{0};
        }
      }
    }
  }
}

}  // namespace tersor::cpu
