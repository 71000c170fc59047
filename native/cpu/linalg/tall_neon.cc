#include "cpu/linalg/tall_tile.h"

namespace tersor::cpu {

const TallKernels& tall_neon() { return kTall; }

}  // namespace tersor::cpu
