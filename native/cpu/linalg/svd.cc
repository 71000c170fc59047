#include "cpu/linalg/svd.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "backend/fail.h"
#include "cpu/finite.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<SvdKernel> svd_kernels("svd", {
#if TERSOR_X86
  {"svd_avx512", Isa::avx512, svd_avx512}, {"svd_avx2", Isa::avx2, svd_avx2},
#endif
      {"svd_scalar", Isa::scalar, svd_scalar},
});

void fix_signs(float* u, int64_t rows, int64_t rank, float* vt, int64_t columns) {
  constexpr int64_t kTogether = 16;  // columns of u, so that its lines are read once
  for (int64_t first = 0; first < rank; first += kTogether) {
    const int64_t count = std::min(kTogether, rank - first);
    float largest[kTogether] = {}, sign[kTogether] = {};
    for (int64_t i = 0; i < rows; ++i) {
      const float* const row = u + i * rank + first;
      for (int64_t j = 0; j < count; ++j) largest[j] = std::fabs(row[j]) > std::fabs(largest[j]) ? row[j] : largest[j];
    }
    for (int64_t j = 0; j < count; ++j) sign[j] = largest[j] >= 0.0f ? 1.0f : -1.0f;
    for (int64_t i = 0; i < rows; ++i) {
      float* const row = u + i * rank + first;
      for (int64_t j = 0; j < count; ++j) row[j] *= sign[j];
    }
    for (int64_t j = 0; j < count; ++j) {
      if (sign[j] > 0.0f) continue;
      for (int64_t i = 0; i < columns; ++i) vt[(first + j) * columns + i] = -vt[(first + j) * columns + i];
    }
  }
}

tersor_status svd_with(SvdKernel* kernel, tersor_context* context, const tersor_tensor* a, const tersor_tensor* u,
                       const tersor_tensor* s, const tersor_tensor* vt) {
  const auto* pa = data_of<const float>(a);
  const int64_t rows = rows_of(a), columns = columns_of(a);
  if (rows == 0 || columns == 0) return TERSOR_OK;
  if (const int64_t bad = first_non_finite(pa, rows * columns); bad >= 0) {
    return fail(context, TERSOR_NOT_FINITE, "expected finite values, got %g, at a[%lld, %lld]",
                static_cast<double>(pa[bad]), static_cast<long long>(bad / columns),
                static_cast<long long>(bad % columns));
  }
  if (is_cancelled(context)) return cancelled(context);
  try {
    if (!kernel(pa, rows, columns, data_of<float>(u), data_of<float>(s), data_of<float>(vt))) {
      return fail(context, TERSOR_INTERNAL, "expected the SVD to converge, got no convergence, at a %lld x %lld matrix",
                  static_cast<long long>(rows), static_cast<long long>(columns));
    }
  } catch (const std::bad_alloc&) {
    return fail(context, TERSOR_OUT_OF_MEMORY, "expected memory for the SVD of a %lld x %lld matrix, got none",
                static_cast<long long>(rows), static_cast<long long>(columns));
  }
  fix_signs(data_of<float>(u), rows, std::min(rows, columns), data_of<float>(vt), columns);
  return is_cancelled(context) ? cancelled(context) : TERSOR_OK;
}

// Eigen cannot be stopped once it runs: a cancel request waits for it.
tersor_status svd(tersor_context* context, const tersor_tensor* a, const tersor_tensor* u, const tersor_tensor* s,
                  const tersor_tensor* vt) {
  return svd_with(svd_kernels.best(), context, a, u, s, vt);
}

}  // namespace tersor::cpu
