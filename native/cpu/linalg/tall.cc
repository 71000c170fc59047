#include "cpu/linalg/tall.h"

#include <algorithm>

#include "cpu/aligned.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"

namespace tersor::cpu {

const KernelList<TallKernel> tall_kernels("tall", {
#if TERSOR_X86
  {"tall_avx512", Isa::avx512, tall_avx512}, {"tall_avx2", Isa::avx2, tall_avx2},
#elif TERSOR_ARM
  {"tall_neon", Isa::neon, tall_neon},
#endif
      {"tall_scalar", Isa::scalar, tall_scalar},
});

namespace {

constexpr int64_t kRows = 64;       // of a at a time: they stay in L2 between the two products
constexpr int64_t kMostChunks = 8;  // each with a sum of its own

}  // namespace

tersor_status multiply_normal(tersor_context* context, const TallKernels& kernels, const float* a, int64_t m, int64_t n,
                              const float* x, int64_t width, float* z, float* image) {
  const int64_t blocks = (m + kRows - 1) / kRows, grain = (blocks + kMostChunks - 1) / kMostChunks;
  const int64_t chunks = (blocks + grain - 1) / grain;
  AlignedBuffer<float> sums;
  if (const tersor_status status = sums.allocate(context, chunks * n * width); status != TERSOR_OK) return status;
  std::atomic<bool> no_memory = false;
  // Both products subtract: twice is adding.
  const tersor_status status = for_chunks(context, blocks, grain, [&](int64_t begin, int64_t end) {
    float* sum = sums.data() + begin / grain * n * width;
    std::fill(sum, sum + n * width, 0.0f);
    tersor_context own{};
    void* memory = nullptr;
    if (scratch(&own, static_cast<size_t>(kRows * width) * sizeof(float), &memory) != TERSOR_OK) {
      no_memory = true;
      return;
    }
    auto* y = static_cast<float*>(memory);
    for (int64_t block = begin; block < end && !is_cancelled(context); ++block) {
      const int64_t rows = std::min(kRows, m - block * kRows);
      std::fill(y, y + rows * width, 0.0f);
      kernels.multiply(a + block * kRows * n, rows, n, x, width, y);
      kernels.multiply_transposed(a + block * kRows * n, rows, n, y, width, sum);
      if (image == nullptr) continue;
      float* const own_rows = image + block * kRows * width;
      for (int64_t i = 0; i < rows * width; ++i) own_rows[i] = -y[i];
    }
  });
  if (status != TERSOR_OK) return status;
  if (no_memory) return fail(context, TERSOR_OUT_OF_MEMORY, "expected working memory, got none");
  if (is_cancelled(context)) return cancelled(context);
  return for_chunks(context, n * width, kGrain / 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float total = sums[i];
      for (int64_t chunk = 1; chunk < chunks; ++chunk) total += sums[chunk * n * width + i];
      z[i] = total;
    }
  });
}

}  // namespace tersor::cpu
