// Sizes of tiles of vectors.
#pragma once

#include "cpu/search/search.h"

namespace tersor::cpu {

// Columns in the four bytes of a row and step.
constexpr int64_t columns_of_step(tersor_search_format format) {
  constexpr int64_t columns[] = {1, 4, 8, 32};
  return columns[format];
}

constexpr int64_t steps_of(int64_t columns, tersor_search_format format) {
  return (columns + columns_of_step(format) - 1) / columns_of_step(format);
}

constexpr int64_t tiles_of(int64_t rows) { return (rows + kSearchRows - 1) / kSearchRows; }

// The terms and the steps.
constexpr int64_t tile_bytes(int64_t columns, tersor_search_format format) {
  return (1 + steps_of(columns, format)) * kTileStep;
}

// Of vectors as they are packed: f32, i8, u4 or u1.
constexpr tersor_search_format search_format(tersor_dtype dtype) {
  return dtype == TERSOR_F32  ? TERSOR_SEARCH_F32
         : dtype == TERSOR_I8 ? TERSOR_SEARCH_INT8
         : dtype == TERSOR_U4 ? TERSOR_SEARCH_INT4
                              : TERSOR_SEARCH_BINARY;
}

// -128 has no counterpart that fits.
tersor_status check_int8(tersor_context* context, const tersor_tensor* codes, const char* name);

}  // namespace tersor::cpu
