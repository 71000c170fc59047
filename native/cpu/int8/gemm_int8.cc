#include "cpu/int8/gemm_int8.h"

#include "cpu/int8/int8_input.h"
#include "cpu/operations.h"
#include "cpu/view.h"

namespace tersor::cpu {
const KernelList<Int8Kernel> gemm_int8_kernels("gemm_int8", {
#if TERSOR_X86
  {"gemm_int8_avx512vnni", Isa::avx512_vnni, gemm_int8_avx512vnni},
      {"gemm_int8_avx2vnni", Isa::avx2_vnni, gemm_int8_avx2vnni}, {"gemm_int8_avx2", Isa::avx2, gemm_int8_avx2},
#elif TERSOR_ARM
  {"gemm_int8_neoni8mm", Isa::neon_i8mm, gemm_int8_neoni8mm},
      {"gemm_int8_neondotprod", Isa::neon_dotprod, gemm_int8_neondotprod},
#endif
      {"gemm_int8_scalar", Isa::scalar, gemm_int8_scalar},
});

tersor_status gemm_int8_with(Int8Kernel* kernel, tersor_context* context, const tersor_tensor* x,
                             const tersor_int8_weight* w, const tersor_int8_codes* input, const tersor_tensor* scales,
                             const tersor_epilogue* epilogue, const tersor_int8_codes* output, const tersor_tensor* y) {
  return multiply_int8(kernel, context, x, w, input, scales, make_epilogue(epilogue, w->rows), output, y);
}

tersor_status multiply_int8(Int8Kernel* kernel, tersor_context* context, const tersor_tensor* x,
                            const tersor_int8_weight* w, const tersor_int8_codes* input, const tersor_tensor* scales,
                            const Epilogue& epilogue, const tersor_int8_codes* output, const tersor_tensor* y) {
  tersor_status status = check_int8_depth(context, w->cols, "gemm_int8");
  if (status == TERSOR_OK && input != nullptr)
    status = check_int8_codes(context, input, x->dtype, "input of gemm_int8");
  if (status == TERSOR_OK && output != nullptr)
    status = check_int8_codes(context, output, TERSOR_U8, "output of gemm_int8");
  if (status != TERSOR_OK) return status;
  if (rows_of(x) == 0 || w->rows == 0) return TERSOR_OK;
  const bool floats = y->dtype == TERSOR_F32;
  return kernel(context, {.m = rows_of(x),
                          .x = int8_input(x, input),
                          .w = {data_of<const uint8_t>(&w->packed), w->rows, w->cols},
                          .nm = nullptr,
                          .scales = data_of<const float>(scales),
                          .one_scale = elements_of(scales) == 1,
                          .epilogue = epilogue,
                          .y = floats ? data_of<float>(y) : nullptr,
                          .codes = floats ? nullptr : data_of<uint8_t>(y),
                          .encoding = output == nullptr ? Encoding{} : u8_encoding(output->scale, output->zero_point)});
}

tersor_status gemm_int8(tersor_context* context, const tersor_tensor* x, const tersor_int8_weight* w,
                        const tersor_int8_codes* input, const tersor_tensor* scales, const tersor_epilogue* epilogue,
                        const tersor_int8_codes* output, const tersor_tensor* y) {
  return gemm_int8_with(gemm_int8_kernels.best(), context, x, w, input, scales, epilogue, output, y);
}

}  // namespace tersor::cpu
