#include "cpu/int8/int8_rows.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/finite.h"
#include "cpu/scratch.h"

namespace tersor::cpu {
namespace {

constexpr int64_t kPageBytes = 4096;
// Elements per chunk: some 2 us of coding, since the product behind it may take no more than ten times that.
constexpr int64_t kCodedPerChunk = int64_t{1} << 14;

// Rows begin at lines of the cache, an odd number of lines apart: a power of two would put the rows of a panel into the
// same few places of the cache.
int64_t stride_of(int64_t columns) { return ((columns + 63) / 64 | 1) * 64; }

// 256 codes that cover [low, high] and 0 exactly; a range below what has a normal scale gets steps of 1.
RowCodes codes_for(const Range& range) {
  if (!range.finite) return {std::numeric_limits<float>::quiet_NaN(), 0, true};
  const double low = range.low;
  const auto step = static_cast<float>((range.high - low) / 255);
  const float scale = step < std::numeric_limits<float>::min() ? 1.0f : step;
  const double zero = std::nearbyint(-low / scale);
  return {scale, static_cast<int32_t>(std::min(std::max(zero, 0.0), 255.0)), false};
}

}  // namespace

RowCodes Int8Coder::codes_of(int64_t row) const {
  RowCodes codes = {x_.scale, x_.zero_point, false};
  if (x_.dynamic)
    codes = codes_for(range_kernels.best()(static_cast<const float*>(x_.data) + row * columns_, columns_));
  if (is_signed_) codes.zero_point -= 128;
  return codes;
}

void Int8Coder::code(const RowCodes& codes, int64_t row, int64_t column, int64_t count, uint8_t* to,
                     FirstPlace& bad) const {
  const int64_t at = row * columns_ + column;
  const auto size = static_cast<size_t>(count);
  const auto* bytes = static_cast<const uint8_t*>(x_.data) + at;
  const auto* floats = static_cast<const float*>(x_.data) + at;
  if (codes.blank) {
    std::memset(to, 0, size);
  } else if (x_.dtype == (is_signed_ ? TERSOR_I8 : TERSOR_U8)) {
    std::memcpy(to, bytes, size);
  } else if (x_.dtype != TERSOR_F32) {
    for (size_t j = 0; j < size; ++j) to[j] = bytes[j] ^ 0x80;
  } else {
    Encoding encoding = u8_encoding(codes.scale, codes.zero_point + (is_signed_ ? 128 : 0));
    encoding.zero_point = codes.zero_point;
    if (!encode_kernels.best()(encoding, floats, count, to)) bad.report(at + first_non_finite(floats, count));
  }
}

tersor_status Int8Rows::allocate(tersor_context* context, const Int8Input& x, int64_t columns, int64_t rows,
                                 int64_t panel_columns, bool is_signed) {
  x_ = &x;
  is_signed_ = is_signed;
  columns_ = columns;
  panel_columns_ = panel_columns;
  // Whole steps, and rows that do not all fall into the same places of the cache.
  in_place_ = x.dtype == (is_signed ? TERSOR_I8 : TERSOR_U8) && columns % kInt8Depth == 0 && columns % kPageBytes != 0;
  if (in_place_) {
    stride_ = columns;
    panel_bytes_ = panel_columns_;
    return TERSOR_OK;
  }
  stride_ = stride_of(std::min(columns, panel_columns_));
  panel_bytes_ = rows * stride_;
  const int64_t codes = (columns + panel_columns_ - 1) / panel_columns_ * panel_bytes_;
  void* memory = nullptr;
  const tersor_status status = scratch(context, static_cast<size_t>(codes + rows * 8), &memory);
  if (status != TERSOR_OK) return status;
  copies_ = static_cast<uint8_t*>(memory);
  codes_ = copies_;
  scales_ = reinterpret_cast<float*>(copies_ + codes);
  zero_points_ = reinterpret_cast<int32_t*>(scales_ + rows);
  return TERSOR_OK;
}

tersor_status Int8Rows::fill(tersor_context* context, int64_t row, int64_t rows, FirstPlace& bad) {
  if (in_place_) {
    codes_ = static_cast<const uint8_t*>(x_->data) + row * columns_;
    return TERSOR_OK;
  }
  const Int8Coder coder(*x_, columns_, is_signed_);
  const int64_t grain = std::max<int64_t>(1, kCodedPerChunk / std::max<int64_t>(1, columns_));
  return for_chunks(context, rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const RowCodes codes = coder.codes_of(row + i);
      scales_[i] = codes.scale;
      zero_points_[i] = codes.zero_point;
      for (int64_t column = 0; column < columns_; column += panel_columns_) {
        const int64_t columns = std::min(panel_columns_, columns_ - column);
        uint8_t* to = copies_ + column / panel_columns_ * panel_bytes_ + i * stride_;
        std::memset(to + columns, 0, static_cast<size_t>(-columns & (kInt8Depth - 1)));  // the rest of the last step
        coder.code(codes, row + i, column, columns, to, bad);
      }
    }
  });
}

}  // namespace tersor::cpu
