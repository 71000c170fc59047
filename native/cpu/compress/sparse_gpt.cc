#include "cpu/compress/sparse_gpt.h"

#include <new>

#include "cpu/compress/affine.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

void write_values(const SecondOrder::Compressed& done, int64_t columns, float* y) {
  for (int64_t row = 0; row < done.rows; ++row) {
    float* to = y + (done.first_row + row) * columns;
    for (int64_t i = 0; i < done.count; ++i) to[done.columns[i]] = done.values[i * done.lanes + row];
  }
}

}  // namespace

tersor_status sparse_gpt_with(SecondOrderKernel* kernel, tersor_context* context, const tersor_tensor* w,
                              const tersor_tensor* hessian, const tersor_sparse_gpt_options* options,
                              const tersor_affine* affine, const tersor_tensor* y) {
  const int64_t columns = columns_of(w);
  if (!(options->sparsity >= 0 && options->sparsity <= 1)) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected a sparsity in [0, 1], got %g",
                static_cast<double>(options->sparsity));
  }
  if (options->of < 0 || options->keep < 0 || options->keep > options->of || (options->of > 0 && options->keep == 0)) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected 1 <= keep <= of, or both 0, got %d of %d", options->keep,
                options->of);
  }
  if (affine != nullptr) {
    const tersor_status status = check_affine(context, affine, rows_of(w), columns);
    if (status != TERSOR_OK) return status;
  }
  const SecondOrderOptions how = {.damping = options->damping,
                                  .scales = affine == nullptr ? CodeScales::none : CodeScales::given,
                                  .affine = affine,
                                  .keep = options->keep,
                                  .of = options->of,
                                  .sparsity = options->of > 0 ? 0.0f : options->sparsity};
  try {
    return SecondOrder(kernel(), context, w, hessian, how).run([&](const SecondOrder::Compressed& done) {
      write_values(done, columns, data_of<float>(y));
    });
  } catch (const std::bad_alloc&) {
    return fail(context, TERSOR_OUT_OF_MEMORY, "expected memory for the order of %lld columns, got none",
                static_cast<long long>(columns));
  }
}

tersor_status sparse_gpt(tersor_context* context, const tersor_tensor* w, const tersor_tensor* hessian,
                         const tersor_sparse_gpt_options* options, const tersor_affine* affine,
                         const tersor_tensor* y) {
  return sparse_gpt_with(second_order_kernels.best(), context, w, hessian, options, affine, y);
}

}  // namespace tersor::cpu
