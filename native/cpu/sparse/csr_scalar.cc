// The reference: the definition, one nonzero after the other.
#include "cpu/sparse/csr_kernels.h"

namespace tersor::cpu {
namespace {

// Unsigned arithmetic wraps where signed would be undefined.
float multiply_add(float sum, float w, float x) { return sum + w * x; }
int32_t multiply_add(int32_t sum, int8_t w, int32_t x) {
  return static_cast<int32_t>(static_cast<uint32_t>(sum) + static_cast<uint32_t>(w * x));
}

template <int64_t kLanes, typename Value, typename Element>
void accumulate(const Csr<Value>& w, const Element* x, int64_t begin, int64_t end, Element* sums) {
  for (int64_t n = begin; n < end; ++n) {
    Element sum[kLanes] = {};
    for (uint32_t j = w.row_offsets[n]; j < w.row_offsets[n + 1]; ++j) {
      const Element* row = x + w.columns[j] * kLanes;
      for (int64_t i = 0; i < kLanes; ++i) sum[i] = multiply_add(sum[i], w.values[j], row[i]);
    }
    for (int64_t i = 0; i < kLanes; ++i) *sums++ = sum[i];
  }
}

}  // namespace

void csr_f32_scalar(const Csr<float>& w, const float* x, int64_t lanes, int64_t begin, int64_t end, float* sums) {
  if (lanes == 1) return accumulate<1>(w, x, begin, end, sums);
  accumulate<kCsrTile>(w, x, begin, end, sums);
}

void csr_i8_scalar(const Csr<int8_t>& w, const int32_t* x, int64_t lanes, int64_t begin, int64_t end, int32_t* sums) {
  if (lanes == 1) return accumulate<1>(w, x, begin, end, sums);
  accumulate<kCsrTile>(w, x, begin, end, sums);
}

}  // namespace tersor::cpu
