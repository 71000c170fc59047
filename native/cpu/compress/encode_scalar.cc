#include "cpu/compress/encode_loops.h"

namespace tersor::cpu {

bool encode_scalar(const Encoding& encoding, const float* x, int64_t count, uint8_t* codes) {
  return encode_run(encoding, x, count, codes);
}

Range range_scalar(const float* x, int64_t count) { return range_of_run(x, count); }

}  // namespace tersor::cpu
