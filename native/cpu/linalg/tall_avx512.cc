#include "cpu/linalg/tall_tile.h"

namespace tersor::cpu {

const TallKernels& tall_avx512() { return kTall; }

}  // namespace tersor::cpu
