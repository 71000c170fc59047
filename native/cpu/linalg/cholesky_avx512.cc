#include "cpu/linalg/cholesky_tile.h"

namespace tersor::cpu {

const CholeskyKernels& cholesky_avx512() { return kCholesky; }

}  // namespace tersor::cpu
