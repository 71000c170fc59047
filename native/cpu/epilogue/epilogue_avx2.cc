#include "cpu/epilogue/epilogue_loops.h"

namespace tersor::cpu {

void epilogue_avx2(const Epilogue& epilogue, const EpilogueTile& tile, const float* sums, int64_t sums_stride, float* y,
                   int64_t y_stride) {
  epilogue_loops(epilogue, tile, sums, sums_stride, y, y_stride);
}

}  // namespace tersor::cpu
