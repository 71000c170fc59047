#include <cstring>
#include <limits>

#include "cpu/int8/layout.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {

int64_t int8_bytes(int64_t rows, int64_t columns) {
  const PackedInt8 w = {nullptr, rows, columns};
  int64_t bytes;
  return __builtin_mul_overflow(w.tiles(), w.tile_bytes(), &bytes) ? std::numeric_limits<int64_t>::max() : bytes;
}

tersor_status pack_int8(tersor_context* context, const tersor_tensor* w, const tersor_tensor* packed) {
  const int64_t rows = w->shape[0], columns = w->shape[1];
  const auto* from = data_of<const int8_t>(w);
  const PackedInt8 layout = {nullptr, rows, columns};
  return for_chunks(context, layout.tiles(), row_grain(4 * kInt8Columns * columns), [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      uint8_t* to = data_of<uint8_t>(packed) + tile * layout.tile_bytes();
      std::memset(to, 0, static_cast<size_t>(layout.tile_bytes()));
      for (int64_t i = 0; i < std::min(kInt8Columns, rows - tile * kInt8Columns); ++i) {
        const int8_t* row = from + (tile * kInt8Columns + i) * columns;
        uint32_t sum = 0;  // of numbers of any length: a sum that does not fit is never used
        for (int64_t k = 0; k < columns; ++k) sum += static_cast<uint32_t>(row[k]);
        std::memcpy(to + i * 4, &sum, 4);
        uint8_t* lanes = to + kInt8SumBytes + i * kInt8Depth;
        for (int64_t k = 0; k < columns; k += kInt8Depth, lanes += kInt8StepBytes) {
          std::memcpy(lanes, row + k, static_cast<size_t>(std::min(kInt8Depth, columns - k)));
        }
      }
    }
  });
}

}  // namespace tersor::cpu
