#include "cpu/linalg/jacobi_loops.h"

namespace tersor::cpu {

bool jacobi_avx512(double* columns, int64_t count, int64_t length, int64_t stride) {
  return jacobi(columns, count, length, stride);
}

}  // namespace tersor::cpu
