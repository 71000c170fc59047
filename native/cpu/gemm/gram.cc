#include "cpu/gemm/gram.h"

#include <algorithm>

#include "backend/fail.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<GramKernel> gram_kernels("gram", {
#if TERSOR_X86
  {"gram_avx512", Isa::avx512, gram_avx512}, {"gram_avx2", Isa::avx2, gram_avx2},
#elif TERSOR_ARM
  {"gram_neon", Isa::neon, gram_neon},
#endif
      {"gram_scalar", Isa::scalar, gram_scalar},
});

namespace {

// h[j][i] = h[i][j] for j > i, by squares whose lines stay in L1.
tersor_status copy_to_lower_half(tersor_context* context, float* h, int64_t n) {
  constexpr int64_t kSquare = 32;
  const int64_t squares = (n + kSquare - 1) / kSquare;
  return for_chunks(context, squares, row_grain(kSquare * n), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin * kSquare; row < std::min(n, end * kSquare); row += kSquare) {
      for (int64_t column = 0; column <= row; column += kSquare) {
        for (int64_t i = row; i < std::min(n, row + kSquare); ++i) {
          for (int64_t j = column; j < std::min(i, column + kSquare); ++j) h[i * n + j] = h[j * n + i];
        }
      }
    }
  });
}

}  // namespace

tersor_status gram(tersor_context* context, const tersor_tensor* x, int32_t accumulate, int32_t mirror,
                   const tersor_tensor* h) {
  const GramArguments arguments = {
      .rows = x->shape[0],
      .columns = x->shape[1],
      .x = data_of<const float>(x),
      .h = data_of<float>(h),
      .accumulate = accumulate != 0,
      .cancel = context->cancel,
  };
  if (arguments.rows > 0) {
    const tersor_status status = gram_kernels.best()(arguments);
    if (status == TERSOR_CANCELLED) return cancelled(context);
    if (status != TERSOR_OK) return fail(context, status, "expected memory for packing, got none, at gram");
  } else if (!arguments.accumulate) {
    std::fill_n(arguments.h, arguments.columns * arguments.columns, 0.0f);
  }
  return mirror != 0 ? copy_to_lower_half(context, arguments.h, arguments.columns) : TERSOR_OK;
}

}  // namespace tersor::cpu
