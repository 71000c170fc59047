#include <algorithm>

#include "cpu/nn/normalize_rows.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<NormalizeRowsKernel> normalize_kernels("normalize", {
#if TERSOR_X86
  {"normalize_avx512", Isa::avx512, normalize_avx512}, {"normalize_avx2", Isa::avx2, normalize_avx2},
#elif TERSOR_ARM
  {"normalize_neon", Isa::neon, normalize_neon},
#endif
      {"normalize_scalar", Isa::scalar, normalize_scalar},
});

namespace {

// Work of a row's element beside that of a plain one, and how many partial sums the parameters' gradients are made of.
constexpr int64_t kCost = 4, kMostParts = 32;

float* data_or_null(const tersor_tensor* tensor) { return tensor == nullptr ? nullptr : data_of<float>(tensor); }

Normalization normalization_of(const tersor_normalization* norm) {
  return {data_or_null(norm->weight), data_or_null(norm->bias), norm->epsilon, norm->center != 0};
}

}  // namespace

tersor_status normalize(tersor_context* context, const tersor_tensor* x, const tersor_normalization* options,
                        const tersor_tensor* y) {
  const Normalization norm = normalization_of(options);
  const auto* px = data_of<const float>(x);
  auto* py = data_of<float>(y);
  const int64_t columns = columns_of(x);
  const NormalizeRows& kernel = normalize_kernels.best()();
  return for_chunks(context, rows_of(x), row_grain(kCost * columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      kernel.normalize(norm, px + row * columns, columns, py + row * columns);
    }
  });
}

// The rows are cut into parts by their number alone. Each part sums its rows' shares of the parameters' gradients into
// memory of its own; the parts are then added in their order.
tersor_status normalize_gradient(tersor_context* context, const tersor_tensor* x, const tersor_normalization* options,
                                 const tersor_tensor* dy, const tersor_tensor* dx, const tersor_tensor* weight_gradient,
                                 const tersor_tensor* bias_gradient) {
  const Normalization norm = normalization_of(options);
  const int64_t rows = rows_of(x), columns = columns_of(x);
  const auto* px = data_of<const float>(x);
  const auto* slopes = data_of<const float>(dy);
  float* to = data_or_null(dx);
  float* const totals[] = {data_or_null(weight_gradient), data_or_null(bias_gradient)};

  const int64_t grain = std::max(row_grain(kCost * columns), (rows + kMostParts - 1) / kMostParts);
  const int64_t parts = rows == 0 ? 0 : (rows + grain - 1) / grain;
  void* memory = nullptr;
  const auto sums_bytes = static_cast<size_t>(2 * parts * columns) * sizeof(float);
  if (const tersor_status status = scratch(context, sums_bytes, &memory); status != TERSOR_OK) return status;
  float* const sums = static_cast<float*>(memory);

  const NormalizeRows& kernel = normalize_kernels.best()();
  const tersor_status status = for_chunks(context, rows, grain, [&](int64_t begin, int64_t end) {
    float* const own = sums + 2 * (begin / grain) * columns;
    std::fill_n(own, 2 * columns, 0.0f);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t at = row * columns;
      kernel.gradient(norm, px + at, slopes + at, columns, to == nullptr ? nullptr : to + at,
                      totals[0] == nullptr ? nullptr : own, totals[1] == nullptr ? nullptr : own + columns);
    }
  });
  if (status != TERSOR_OK) return status;
  for (int64_t which = 0; which < 2; ++which) {
    float* const total = totals[which];
    if (total == nullptr) continue;
    std::fill_n(total, columns, 0.0f);
    for (int64_t part = 0; part < parts; ++part) {
      const float* const own = sums + (2 * part + which) * columns;
      for (int64_t j = 0; j < columns; ++j) total[j] += own[j];
    }
  }
  return TERSOR_OK;
}

}  // namespace tersor::cpu
