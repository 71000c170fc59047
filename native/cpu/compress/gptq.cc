#include "cpu/compress/gptq.h"

#include <new>

#include "cpu/compress/affine.h"
#include "cpu/compress/bits.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

CodeScales scales_of(tersor_code_scales scales) {
  switch (scales) {
    case TERSOR_SCALES_SYMMETRIC:
      return CodeScales::symmetric;
    case TERSOR_SCALES_ASYMMETRIC:
      return CodeScales::asymmetric;
    default:
      return CodeScales::given;
  }
}

tersor_status check_options(tersor_context* context, const tersor_tensor* w, const tersor_gptq_options& options,
                            const tersor_affine& affine, tersor_dtype dtype) {
  const int32_t lowest = dtype == TERSOR_I8 ? -128 : 0;
  const int32_t highest = dtype == TERSOR_I8 ? 127 : (1 << bits_of(dtype)) - 1;
  if (affine.code_min < lowest || affine.code_max > highest) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected a code range inside [%d, %d] of %s, got [%d, %d]", lowest,
                highest, name_of(dtype), affine.code_min, affine.code_max);
  }
  if (options.scales == TERSOR_SCALES_GIVEN) return TERSOR_OK;
  if (options.activation_order != 0) {
    return fail(context, TERSOR_UNSUPPORTED,
                "expected given scales beside activation order, which visits groups in pieces, got scales to be found");
  }
  if (rows_of(affine.scales) != rows_of(w) || affine.biases != nullptr) {
    return fail(context, TERSOR_UNSUPPORTED,
                "expected scales for every row and no biases where they are to be found, got %lld rows of scales%s",
                static_cast<long long>(rows_of(affine.scales)), affine.biases == nullptr ? "" : " and biases");
  }
  if (options.scales == TERSOR_SCALES_ASYMMETRIC && affine.zero_points == nullptr) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected room for zero points of asymmetric codes, got none");
  }
  return TERSOR_OK;
}

void write_codes(const SecondOrder::Compressed& done, int64_t columns, uint8_t* codes) {
  for (int64_t row = 0; row < done.rows; ++row) {
    uint8_t* to = codes + (done.first_row + row) * columns;
    for (int64_t i = 0; i < done.count; ++i) to[done.columns[i]] = done.codes[i * done.lanes + row];
  }
}

tersor_status pack_rows(tersor_context* context, const uint8_t* plain, int64_t rows, int64_t columns,
                        const tersor_tensor* codes) {
  const int64_t stride = row_bytes(codes->dtype, columns);
  return for_chunks(context, rows, row_grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      pack_codes(plain + row * columns, columns, bits_of(codes->dtype), data_of<uint8_t>(codes) + row * stride);
    }
  });
}

}  // namespace

tersor_status gptq_with(SecondOrderKernel* kernel, tersor_context* context, const tersor_tensor* w,
                        const tersor_tensor* hessian, const tersor_gptq_options* options, const tersor_affine* affine,
                        const tersor_tensor* codes) {
  const int64_t rows = rows_of(w), columns = columns_of(w);
  if (const tersor_status status = check_affine(context, affine, rows, columns); status != TERSOR_OK) return status;
  if (const tersor_status status = check_options(context, w, *options, *affine, codes->dtype); status != TERSOR_OK) {
    return status;
  }
  AlignedBuffer<uint8_t> unpacked;
  uint8_t* plain = data_of<uint8_t>(codes);
  if (is_bit_packed(codes->dtype)) {
    if (const tersor_status status = unpacked.allocate(context, rows * columns); status != TERSOR_OK) return status;
    plain = unpacked.data();
  }
  const SecondOrderOptions how = {.damping = options->damping,
                                  .activation_order = options->activation_order != 0,
                                  .scales = scales_of(options->scales),
                                  .affine = affine};
  try {
    SecondOrder compression(kernel(), context, w, hessian, how);
    const tersor_status status =
        compression.run([&](const SecondOrder::Compressed& done) { write_codes(done, columns, plain); });
    if (status != TERSOR_OK) return status;
    if (options->scales != TERSOR_SCALES_GIVEN) {
      const bool asymmetric = options->scales == TERSOR_SCALES_ASYMMETRIC;
      compression.copy_parameters(data_of<float>(affine->scales),
                                  asymmetric ? data_of<int32_t>(affine->zero_points) : nullptr);
    }
  } catch (const std::bad_alloc&) {
    return fail(context, TERSOR_OUT_OF_MEMORY, "expected memory for the order of %lld columns, got none",
                static_cast<long long>(columns));
  }
  return is_bit_packed(codes->dtype) ? pack_rows(context, plain, rows, columns, codes) : TERSOR_OK;
}

tersor_status gptq(tersor_context* context, const tersor_tensor* w, const tersor_tensor* hessian,
                   const tersor_gptq_options* options, const tersor_affine* affine, const tersor_tensor* codes) {
  return gptq_with(second_order_kernels.best(), context, w, hessian, options, affine, codes);
}

}  // namespace tersor::cpu
