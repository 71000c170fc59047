// The reference: the definition, one place after the other.
#include <algorithm>
#include <cstring>

#include "cpu/sparse/nm_gemm.h"

namespace tersor::cpu {
namespace {

constexpr int64_t kLanes = 16;

// A compiler's vector of 16 floats: it becomes whatever registers the target has, where a loop over an array of float
// sums would stay one by one.
using Floats [[gnu::vector_size(kLanes * sizeof(float))]] = float;

// body(value, column) for every place of row `row` of the panel, where columns count 16 a chunk.
template <typename Body>
void for_places(const NmChunks& w, int64_t row, Body&& body) {
  const int64_t chunk_bytes = (w.places + w.choice_words) * kNmRows * 4;
  for (int64_t c = 0; c < w.count; ++c) {
    const auto* choices = reinterpret_cast<const uint32_t*>(w.data + c * chunk_bytes) + row;
    const auto* values = reinterpret_cast<const float*>(choices + w.choice_words * kNmRows);
    for (int64_t s = 0; s < w.places; ++s) {
      const uint32_t word = choices[s / kNmChoicesPerWord * kNmRows];
      body(values[s * kNmRows], c * kNmColumns + (word >> (s % kNmChoicesPerWord * 4) & 15));
    }
  }
}

void choose(const NmChunks& w, const float* x, int64_t, float* sums) {
  for (int64_t row = 0; row < kNmRows; ++row) {
    float sum = 0;
    for_places(w, row, [&](float value, int64_t column) { sum += value * x[column]; });
    sums[row] = sum;
  }
}

void turned(const NmChunks& w, const float* x, bool accumulate, float* sums) {
  for (int64_t row = 0; row < kNmRows; ++row, sums += kLanes) {
    Floats sum = {};
    if (accumulate) std::memcpy(&sum, sums, sizeof sum);
    for_places(w, row, [&](float value, int64_t column) {
      Floats lanes;
      std::memcpy(&lanes, x + column * kLanes, sizeof lanes);
      sum += value * lanes;
    });
    std::memcpy(sums, &sum, sizeof sum);
  }
}

void turn(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to, int64_t to_stride) {
  for (int64_t c = 0; c < 16; ++c) {
    for (int64_t r = 0; r < 16; ++r) to[c * to_stride + r] = r < rows && c < columns ? from[r * from_stride + c] : 0.0f;
  }
}

}  // namespace

tersor_status nm_gemm_scalar(tersor_context* context, const NmProduct& product) {
  return nm_gemm_tiled(context, product,
                       {.choose = choose,
                        .choose_rows = 1,
                        .turned = turned,
                        .lanes = kLanes,
                        .turned_chunks = 24,
                        .fewest_turned = 4,
                        .turn = turn});
}

}  // namespace tersor::cpu
