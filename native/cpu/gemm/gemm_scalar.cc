// Reference: straight loops, one order of summation per layout.
#include <algorithm>

#include "core/half.h"
#include "core/thread_pool.h"
#include "cpu/gemm/gemm.h"
#include "cpu/gemm/gemm_layout.h"

namespace tersor::cpu {
namespace {

constexpr int64_t kProductsPerChunk = int64_t{1} << 20;

// Both operands along k. Eight partial sums: closer to the exact sum than one, and a compiler may keep them in a
// vector.
float dot(const float* a, const float* b, int64_t k) {
  float partial[8] = {};
  int64_t p = 0;
  for (; p + 8 <= k; p += 8) {
    for (int lane = 0; lane < 8; ++lane) partial[lane] += a[p + lane] * b[p + lane];
  }
  for (int lane = 0; p < k; ++p, ++lane) partial[lane] += a[p] * b[p];
  float sum = 0;
  for (const float value : partial) sum += value;
  return sum;
}

void row_of_dots(const GemmArguments& g, int64_t i) {
  const float* a = g.a.data + i * g.a.row_stride;
  float* c = g.c + i * g.n;
  for (int64_t j = 0; j < g.n; ++j) {
    const float sum = dot(a, g.b.data + j * g.b.column_stride, g.k);
    c[j] = g.accumulate ? c[j] + sum : sum;
  }
}

void row_of_combinations(const GemmArguments& g, int64_t i) {
  float* c = g.c + i * g.n;
  if (!g.accumulate) std::fill(c, c + g.n, 0.0f);
  for (int64_t p = 0; p < g.k; ++p) {
    const float factor = g.a.data[i * g.a.row_stride + p * g.a.column_stride];
    const float* b = g.b.data + p * g.b.row_stride;
    for (int64_t j = 0; j < g.n; ++j) c[j] += factor * b[j * g.b.column_stride];
  }
}

void row_of_panels(const GemmArguments& g, int64_t i) {
  const float* a = g.a.data + i * g.a.row_stride;
  const PanelSequence sequence(g.n);
  for (int64_t unit = 0; unit < sequence.count(); ++unit) {
    const Panel panel = sequence[unit];
    float sums[kPanelColumns] = {};
    if (g.bf16_panels) {
      const auto* b = reinterpret_cast<const uint16_t*>(g.panels) + panel.column * round_up(g.k, 2);
      for (int64_t p = 0; p < g.k; ++p) {
        const uint16_t* row = b + p / 2 * panel.width * 2 + p % 2;
        for (int64_t j = 0; j < panel.width; ++j) sums[j] += a[p] * bf16_to_f32(row[2 * j]);
      }
    } else {
      const float* b = g.panels + panel.column * g.k;
      for (int64_t p = 0; p < g.k; ++p, b += panel.width) {
        for (int64_t j = 0; j < panel.width; ++j) sums[j] += a[p] * b[j];
      }
    }
    std::copy_n(sums, std::min(panel.width, g.n - panel.column), g.c + i * g.n + panel.column);
  }
}

void row(const GemmArguments& g, int64_t i) {
  if (g.panels != nullptr) return row_of_panels(g, i);
  const bool dots = g.a.column_stride == 1 && g.b.row_stride == 1 && g.b.column_stride != 1;
  return dots ? row_of_dots(g, i) : row_of_combinations(g, i);
}

}  // namespace

tersor_status gemm_scalar(const GemmArguments& g) {
  const int64_t grain = std::max<int64_t>(1, kProductsPerChunk / std::max<int64_t>(1, g.n * g.k));
  const bool finished = parallel_for(g.cancel, g.m, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      row(g, i);
      gemm_finish(g, i, 1, 0, g.n);
    }
  });
  return finished ? TERSOR_OK : TERSOR_CANCELLED;
}

}  // namespace tersor::cpu
