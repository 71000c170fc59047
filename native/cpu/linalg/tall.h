// Products of a tall matrix a[m,n] with few columns, as an iteration on a^T a needs them: a is read where it lies,
// once. Same bits on any number of threads.
#pragma once

#include "backend/backend.h"
#include "backend/kernels.h"
#include "cpu/linalg/tall_kernels.h"

namespace tersor::cpu {

extern const KernelList<TallKernel> tall_kernels;

// Some columns of a matrix: rows lie `stride` apart.
struct Columns {
  float* data;
  int64_t stride;
};

class TallMatrix {
 public:
  TallMatrix(const TallKernels& kernels, const float* a, int64_t m, int64_t n)
      : kernels_(kernels), a_(a), m_(m), n_(n) {}

  // image[m, width] = a * x[n, width]; width is a multiple of the kernel's vector, here and below.
  tersor_status multiply(tersor_context* context, const float* x, int64_t width, Columns image) const;

  // z[n, width] = a^T * (a * x[n, width]), and image[m, width] = a * x unless its data is null. `sums` is room for
  // normal_sums(width) numbers.
  tersor_status multiply_normal(tersor_context* context, const float* x, int64_t width, float* z, Columns image,
                                float* sums) const;
  int64_t normal_sums(int64_t width) const;

  // sketch[n, width] = a^T * signs[m, width] of random signs that are mostly zeros: of each `width` / 8 rows of a in
  // turn, every column meets one at random and every row 8 columns (Tropp, Yurtsever, Udell & Cevher 2019). It costs
  // little more than reading a, and serves as the start of an iteration as well as a dense random matrix does. NaN and
  // infinity in a row of a stay in the sketch. width is a multiple of 8; `sums` is room for n * width numbers.
  tersor_status sketch(tersor_context* context, uint64_t seed, int64_t width, float* sketch, float* sums) const;

 private:
  const TallKernels& kernels_;
  const float* a_;
  const int64_t m_, n_;
};

}  // namespace tersor::cpu
