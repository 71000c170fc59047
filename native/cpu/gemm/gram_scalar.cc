// Reference: a row of the result at a time, sums over the rows of x in order.
#include <algorithm>

#include "core/thread_pool.h"
#include "cpu/gemm/gram.h"

namespace tersor::cpu {

tersor_status gram_scalar(const GramArguments& g) {
  constexpr int64_t kProductsPerChunk = int64_t{1} << 20;
  const int64_t grain = std::max<int64_t>(1, kProductsPerChunk / std::max<int64_t>(1, g.rows * g.columns));
  const bool finished = parallel_for(g.cancel, g.columns, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* h = g.h + i * g.columns;
      if (!g.accumulate) std::fill(h + i, h + g.columns, 0.0f);
      for (int64_t t = 0; t < g.rows; ++t) {
        const float* x = g.x + t * g.columns;
        for (int64_t j = i; j < g.columns; ++j) h[j] += x[i] * x[j];
      }
    }
  });
  return finished ? TERSOR_OK : TERSOR_CANCELLED;
}

}  // namespace tersor::cpu
