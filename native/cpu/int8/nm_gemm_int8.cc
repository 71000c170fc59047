// Products of 8-bit activations with N:M weights of integers: the dense kernels, on tiles that are expanded as they are
// needed.
#include "cpu/int8/nm_gemm_int8.h"

#include "cpu/int8/int8_input.h"
#include "cpu/operations.h"
#include "cpu/view.h"

namespace tersor::cpu {

tersor_status nm_gemm_int8_with(Int8Kernel* kernel, tersor_context* context, const tersor_tensor* x, const tersor_nm* w,
                                const tersor_int8_codes* input, const tersor_tensor* scales,
                                const tersor_epilogue* epilogue, const tersor_tensor* y) {
  tersor_status status = check_int8_depth(context, w->cols, "nm_gemm_int8");
  if (status == TERSOR_OK && input != nullptr) {
    status = check_int8_codes(context, input, x->dtype, "input of nm_gemm_int8");
  }
  if (status != TERSOR_OK || rows_of(x) == 0 || w->rows == 0) return status;
  const PackedNmInt8 packed = packed_nm_int8(*w);
  const Int8Product product = {.m = rows_of(x),
                               .x = int8_input(x, input),
                               .w = packed.dense(),
                               .nm = packed.is_dense() ? nullptr : &packed,
                               .scales = data_of<const float>(scales),
                               .one_scale = elements_of(scales) == 1,
                               .epilogue = make_epilogue(epilogue, w->rows),
                               .y = data_of<float>(y),
                               .codes = nullptr,
                               .encoding = {}};
  return kernel(context, product);
}

tersor_status nm_gemm_int8(tersor_context* context, const tersor_tensor* x, const tersor_nm* w,
                           const tersor_int8_codes* input, const tersor_tensor* scales, const tersor_epilogue* epilogue,
                           const tersor_tensor* y) {
  return nm_gemm_int8_with(gemm_int8_kernels.best(), context, x, w, input, scales, epilogue, y);
}

}  // namespace tersor::cpu
