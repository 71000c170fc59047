#include "cpu/linalg/cholesky_tile.h"

namespace tersor::cpu {

const CholeskyKernels& cholesky_neon() { return kCholesky; }

}  // namespace tersor::cpu
