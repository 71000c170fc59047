#include "cpu/int8/int8_rows.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/finite.h"
#include "cpu/scratch.h"

namespace tersor::cpu {
namespace {

// Rows begin at lines of the cache, an odd number of lines apart: a power of two would put the rows of a panel into the
// same few places of the cache.
int64_t stride_of(int64_t columns) { return ((columns + 63) / 64 | 1) * 64; }

struct RowCodes {
  float scale;
  int32_t zero_point;
};

// 256 codes that cover [low, high] and 0 exactly; a range below what has a normal scale gets steps of 1.
RowCodes codes_for(const Range& range) {
  if (!range.finite) return {std::numeric_limits<float>::quiet_NaN(), 0};
  const double low = range.low;
  const auto step = static_cast<float>((range.high - low) / 255);
  const float scale = step < std::numeric_limits<float>::min() ? 1.0f : step;
  const double zero = std::nearbyint(-low / scale);
  return {scale, static_cast<int32_t>(std::min(std::max(zero, 0.0), 255.0))};
}

}  // namespace

tersor_status Int8Rows::allocate(tersor_context* context, const Int8Input& x, int64_t columns, int64_t rows) {
  x_ = &x;
  columns_ = columns;
  stride_ = stride_of(std::min(columns, kInt8PanelColumns));
  panel_bytes_ = rows * stride_;
  const int64_t codes = (columns + kInt8PanelColumns - 1) / kInt8PanelColumns * panel_bytes_;
  void* memory = nullptr;
  const tersor_status status = scratch(context, static_cast<size_t>(codes + rows * 8), &memory);
  if (status != TERSOR_OK) return status;
  codes_ = static_cast<uint8_t*>(memory);
  scales_ = reinterpret_cast<float*>(codes_ + codes);
  zero_points_ = reinterpret_cast<int32_t*>(scales_ + rows);
  return TERSOR_OK;
}

tersor_status Int8Rows::fill(tersor_context* context, int64_t row, int64_t rows, FirstPlace& bad) {
  return for_chunks(context, rows, row_grain(columns_), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) code(row + i, i, bad);
  });
}

void Int8Rows::code(int64_t row, int64_t i, FirstPlace& bad) {
  scales_[i] = x_->scale;
  zero_points_[i] = x_->zero_point;
  const auto* bytes = static_cast<const uint8_t*>(x_->data) + row * columns_;
  const auto* floats = static_cast<const float*>(x_->data) + row * columns_;
  const bool blank = x_->dynamic && !choose(floats, i);
  const Encoding encoding = u8_encoding(scales_[i], zero_points_[i]);
  for (int64_t column = 0; column < columns_; column += kInt8PanelColumns) {
    const int64_t columns = std::min(kInt8PanelColumns, columns_ - column);
    uint8_t* to = codes_ + column / kInt8PanelColumns * panel_bytes_ + i * stride_;
    const auto count = static_cast<size_t>(columns);
    std::memset(to + count, 0, static_cast<size_t>(-columns & (kInt8Depth - 1)));  // the rest of the last step
    if (blank) {
      std::memset(to, 0, count);
    } else if (x_->dtype == TERSOR_U8) {
      std::memcpy(to, bytes + column, count);
    } else if (x_->dtype == TERSOR_I8) {
      for (size_t j = 0; j < count; ++j) to[j] = bytes[static_cast<size_t>(column) + j] ^ 0x80;
    } else if (!encode_kernels.best()(encoding, floats + column, columns, to)) {
      bad.report(row * columns_ + column + first_non_finite(floats + column, columns));
    }
  }
}

bool Int8Rows::choose(const float* x, int64_t i) {
  const Range range = range_kernels.best()(x, columns_);
  const RowCodes codes = codes_for(range);
  scales_[i] = codes.scale;
  zero_points_[i] = codes.zero_point;
  return range.finite;
}

}  // namespace tersor::cpu
