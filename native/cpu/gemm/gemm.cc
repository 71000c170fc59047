#include "cpu/gemm/gemm.h"

#include "backend/fail.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<GemmKernel> gemm_kernels("gemm", {
#if TERSOR_X86
  {"gemm_avx512", Isa::avx512, gemm_avx512}, {"gemm_avx2", Isa::avx2, gemm_avx2},
#elif TERSOR_ARM
  {"gemm_neon", Isa::neon, gemm_neon},
#endif
      {"gemm_scalar", Isa::scalar, gemm_scalar},
});

void gemm_finish(const GemmArguments& arguments, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  if (arguments.epilogue.is_identity()) return;
  float* sums = arguments.c + row * arguments.n + column;
  finish_sums(arguments.epilogue, {row, rows, column, columns}, sums, arguments.n, arguments.c);
}

tersor_status gemm(tersor_context* context, const tersor_tensor* a, int32_t transpose_a, const tersor_tensor* b,
                   int32_t transpose_b, const tersor_epilogue* epilogue, int32_t accumulate, const tersor_tensor* c) {
  const int64_t a_columns = a->shape[1], b_columns = b->shape[1];
  const GemmArguments arguments = {
      .m = c->shape[0],
      .n = c->shape[1],
      .k = transpose_a ? a->shape[0] : a_columns,
      .a = {data_of<const float>(a), transpose_a ? 1 : a_columns, transpose_a ? a_columns : 1},
      .b = {data_of<const float>(b), transpose_b ? 1 : b_columns, transpose_b ? b_columns : 1},
      .panels = nullptr,
      .bf16_panels = false,
      .c = data_of<float>(c),
      .epilogue = make_epilogue(epilogue, c->shape[1]),
      .accumulate = accumulate != 0,
      .cancel = context->cancel,
  };
  return run_gemm(gemm_kernels.best(), arguments, context, "gemm");
}

tersor_status run_gemm(GemmKernel* kernel, const GemmArguments& arguments, tersor_context* context,
                       const char* operation) {
  if (arguments.m == 0 || arguments.n == 0) return TERSOR_OK;
  const tersor_status status = kernel(arguments);
  if (status == TERSOR_CANCELLED) return cancelled(context);
  if (status == TERSOR_OUT_OF_MEMORY) {
    return fail(context, status, "expected memory for packing, got none, at %s", operation);
  }
  return status;
}

}  // namespace tersor::cpu
