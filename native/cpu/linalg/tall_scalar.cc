#include "cpu/linalg/tall_tile.h"

namespace tersor::cpu {

const TallKernels& tall_scalar() { return kTall; }

}  // namespace tersor::cpu
