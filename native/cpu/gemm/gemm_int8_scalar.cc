#include "cpu/gemm/gemm_int8.h"

namespace tersor::cpu {

void int8_dots_scalar(int64_t k, const uint8_t* x, int64_t x_stride, int64_t rows, const int8_t* w, int64_t w_stride,
                      int64_t columns, int32_t* sums, int64_t sums_stride, bool accumulate) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      int32_t sum = 0;
      for (int64_t p = 0; p < k; ++p) sum += x[i * x_stride + p] * w[j * w_stride + p];
      sums[i * sums_stride + j] = accumulate ? sums[i * sums_stride + j] + sum : sum;
    }
  }
}

}  // namespace tersor::cpu
