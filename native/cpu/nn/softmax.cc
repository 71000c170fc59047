#include "cpu/nn/softmax_rows.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<SoftmaxRowsKernel> softmax_kernels("softmax", {
#if TERSOR_X86
  {"softmax_avx512", Isa::avx512, softmax_avx512}, {"softmax_avx2", Isa::avx2, softmax_avx2},
#elif TERSOR_ARM
  {"softmax_neon", Isa::neon, softmax_neon},
#endif
      {"softmax_scalar", Isa::scalar, softmax_scalar},
});

namespace {

// Work of a softmax beside that of a plain element.
constexpr int64_t kCost = 4;

// apply(x of the row, columns, y of the row) for every row.
template <typename Apply>
tersor_status for_rows(tersor_context* context, const tersor_tensor* x, const tersor_tensor* y, Apply apply) {
  const auto* px = data_of<const float>(x);
  auto* py = data_of<float>(y);
  const int64_t columns = columns_of(x);
  return for_chunks(context, rows_of(x), row_grain(kCost * columns), [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) apply(px + row * columns, columns, py + row * columns);
  });
}

// The same with a second input.
template <typename Apply>
tersor_status for_rows(tersor_context* context, const tersor_tensor* y, const tersor_tensor* dy,
                       const tersor_tensor* dx, Apply apply) {
  const auto* slopes = data_of<const float>(dy);
  return for_rows(context, y, dx, [=, first = data_of<const float>(y)](const float* row, int64_t columns, float* to) {
    apply(row, slopes + (row - first), columns, to);
  });
}

}  // namespace

tersor_status softmax(tersor_context* context, const tersor_tensor* x, const tersor_tensor* y) {
  return for_rows(context, x, y, softmax_kernels.best()().softmax);
}

tersor_status softmax_gradient(tersor_context* context, const tersor_tensor* y, const tersor_tensor* dy,
                               const tersor_tensor* dx) {
  return for_rows(context, y, dy, dx, softmax_kernels.best()().softmax_gradient);
}

tersor_status log_softmax(tersor_context* context, const tersor_tensor* x, const tersor_tensor* y) {
  return for_rows(context, x, y, softmax_kernels.best()().log_softmax);
}

tersor_status log_softmax_gradient(tersor_context* context, const tersor_tensor* y, const tersor_tensor* dy,
                                   const tersor_tensor* dx) {
  return for_rows(context, y, dy, dx, softmax_kernels.best()().log_softmax_gradient);
}

}  // namespace tersor::cpu
