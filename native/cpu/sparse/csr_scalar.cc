// The reference: the definition, one nonzero after the other.
#include <cstring>

#include "cpu/sparse/csr_kernels.h"

namespace tersor::cpu {
namespace {

template <typename Value, typename Word>
void dot(const Csr<Value>& w, const Word* x, int64_t begin, int64_t end, Word* sums) {
  for (int64_t n = begin; n < end; ++n) {
    Word sum = 0;
    for (uint32_t j = w.row_offsets[n]; j < w.row_offsets[n + 1]; ++j) sum += w.values[j] * x[w.columns[j]];
    *sums++ = sum;
  }
}

// A compiler's vector of kCsrTile words: it becomes whatever registers the target has, where a loop over an array of
// float sums would stay one by one.
template <typename Value, typename Word>
void tile(const Csr<Value>& w, const Word* x, int64_t begin, int64_t end, Word* sums) {
  using Words [[gnu::vector_size(kCsrTile * sizeof(Word))]] = Word;
  for (int64_t n = begin; n < end; ++n, sums += kCsrTile) {
    Words sum = {};
    for (uint32_t j = w.row_offsets[n]; j < w.row_offsets[n + 1]; ++j) {
      Words row;
      std::memcpy(&row, x + w.columns[j] * kCsrTile, sizeof row);
      sum += static_cast<Word>(w.values[j]) * row;
    }
    std::memcpy(sums, &sum, sizeof sum);
  }
}

}  // namespace

void csr_f32_scalar(const Csr<float>& w, const float* x, int64_t lanes, int64_t begin, int64_t end, float* sums) {
  if (lanes == 1) return dot(w, x, begin, end, sums);
  tile(w, x, begin, end, sums);
}

void csr_i8_scalar(const Csr<int8_t>& w, const int32_t* x, int64_t lanes, int64_t begin, int64_t end, int32_t* sums) {
  if (lanes == 1) return dot(w, x, begin, end, sums);
  tile(w, x, begin, end, sums);
}

}  // namespace tersor::cpu
