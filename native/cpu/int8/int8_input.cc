#include "cpu/int8/int8_input.h"

#include "backend/fail.h"
#include "cpu/finite.h"

namespace tersor::cpu {

tersor_status check_int8_depth(tersor_context* context, int64_t columns, const char* operation) {
  if (columns <= TERSOR_LONGEST_INT8_SUM) return TERSOR_OK;
  return fail(context, TERSOR_INVALID_SHAPE, "expected at most %d columns (sums are exact in 32 bits), got %lld, at %s",
              static_cast<int>(TERSOR_LONGEST_INT8_SUM), static_cast<long long>(columns), operation);
}

tersor_status check_int8_codes(tersor_context* context, const tersor_int8_codes* codes, tersor_dtype dtype,
                               const char* where) {
  const int32_t lowest = dtype == TERSOR_I8 ? -128 : 0;
  if (codes->zero_point < lowest || codes->zero_point > lowest + 255) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected a zero point in %d..%d, got %d, at %s", lowest, lowest + 255,
                codes->zero_point, where);
  }
  if (codes->scale > 0 && is_finite(codes->scale)) return TERSOR_OK;
  return fail(context, TERSOR_INVALID_ARGUMENT, "expected a finite scale > 0, got %g, at %s",
              static_cast<double>(codes->scale), where);
}

Int8Input int8_input(const tersor_tensor* x, const tersor_int8_codes* codes) {
  if (codes == nullptr) return {x->data, x->dtype, true, 1, 0};
  // Codes i8 count from -128, which is code 0 of u8.
  return {x->data, x->dtype, false, codes->scale, codes->zero_point + (x->dtype == TERSOR_I8 ? 128 : 0)};
}

}  // namespace tersor::cpu
