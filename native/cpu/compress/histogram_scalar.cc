#include "cpu/compress/histogram_loops.h"

namespace tersor::cpu {

void histogram_scalar(const float* x, int64_t count, float inverse, int32_t first,
                      uint16_t (*partial)[TERSOR_HISTOGRAM_BINS]) {
  count_places(x, count, inverse, first, partial);
}

}  // namespace tersor::cpu
