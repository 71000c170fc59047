// Vectors laid out in tiles for search (see search.h).
#include <algorithm>
#include <cstring>

#include "backend/fail.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/search/layout.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

// The largest code: two products of at most this squared fit the 16-bit sums of AVX2.
constexpr int kLargestInt8 = 127;

// What row `row` subtracts from its scores: its squared length in the units of twice the product, or 0.
template <typename Term>
void put_term(uint8_t* tile, int64_t row, Term term) {
  std::memcpy(tile + row * kStepBytes, &term, sizeof term);
}

void pack_f32(const float* x, int64_t columns, bool distances, int64_t row, uint8_t* tile) {
  double length = 0;
  for (int64_t j = 0; j < columns; ++j) {
    std::memcpy(tile + (1 + j) * kTileStep + row * kStepBytes, x + j, kStepBytes);
    length += static_cast<double>(x[j]) * static_cast<double>(x[j]);
  }
  put_term(tile, row, distances ? static_cast<float>(length) : 0.0f);
}

void pack_int8(const int8_t* x, int64_t columns, bool distances, int64_t row, uint8_t* tile) {
  int32_t length = 0;
  for (int64_t j = 0; j < columns; ++j) {
    tile[(1 + j / 4) * kTileStep + row * kStepBytes + j % 4] = static_cast<uint8_t>(x[j]);
    length += x[j] * x[j];
  }
  put_term(tile, row, distances ? length : 0);
}

// Queries are in sixteenths of a step of the codes.
constexpr int32_t kInt4QueryUnits = 16;

void pack_int4(const uint8_t* x, int64_t columns, bool distances, int64_t row, uint8_t* tile) {
  int32_t length = 0;
  for (int64_t j = 0; j < columns; ++j) {
    const int32_t code = x[j / 2] >> (4 * (j % 2)) & 15;
    uint8_t& byte = tile[(1 + j / 8) * kTileStep + row * kStepBytes + j % 4];
    byte = static_cast<uint8_t>(byte | code << (j % 8 < 4 ? 0 : 4));
    length += (code - 8) * (code - 8);
  }
  put_term(tile, row, distances ? kInt4QueryUnits * length : 0);
}

void pack_binary(const uint8_t* x, int64_t columns, int64_t row, uint8_t* tile) {
  for (int64_t j = 0; j < columns; j += 8) {
    const int mask = columns - j >= 8 ? 255 : (1 << (columns - j)) - 1;
    tile[(1 + j / 32) * kTileStep + row * kStepBytes + j / 8 % 4] = static_cast<uint8_t>(x[j / 8] & mask);
  }
}

}  // namespace

int64_t search_bytes(int64_t rows, int64_t columns, tersor_search_format format) {
  return tiles_of(rows) * tile_bytes(columns, format);
}

tersor_status pack_search(tersor_context* context, const tersor_tensor* vectors, int32_t distances,
                          const tersor_tensor* packed) {
  const int64_t rows = rows_of(vectors), columns = columns_of(vectors);
  const tersor_search_format format = search_format(vectors->dtype);
  if (format == TERSOR_SEARCH_INT8) {
    if (const tersor_status status = check_int8(context, vectors, "vectors"); status != TERSOR_OK) return status;
  }
  const int64_t bytes = tile_bytes(columns, format), stride = row_bytes(vectors->dtype, columns);
  const bool with_lengths = distances != 0;
  return for_chunks(context, tiles_of(rows), row_grain(columns * kSearchRows), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      uint8_t* tile = data_of<uint8_t>(packed) + i * bytes;
      std::memset(tile, 0, static_cast<size_t>(bytes));
      for (int64_t row = 0; row < std::min(kSearchRows, rows - i * kSearchRows); ++row) {
        const uint8_t* from = data_of<const uint8_t>(vectors) + (i * kSearchRows + row) * stride;
        if (format == TERSOR_SEARCH_F32) {
          pack_f32(reinterpret_cast<const float*>(from), columns, with_lengths, row, tile);
        } else if (format == TERSOR_SEARCH_INT8) {
          pack_int8(reinterpret_cast<const int8_t*>(from), columns, with_lengths, row, tile);
        } else if (format == TERSOR_SEARCH_INT4) {
          pack_int4(from, columns, with_lengths, row, tile);
        } else {
          pack_binary(from, columns, row, tile);
        }
      }
    }
  });
}

tersor_status check_int8(tersor_context* context, const tersor_tensor* codes, const char* name) {
  const auto* x = data_of<const int8_t>(codes);
  const int64_t count = elements_of(codes);
  int8_t least = 0;
  for (int64_t i = 0; i < count; ++i) least = std::min(least, x[i]);
  if (least >= -kLargestInt8) return TERSOR_OK;
  const int64_t at = std::find(x, x + count, least) - x;
  return fail(context, TERSOR_OUT_OF_RANGE, "expected codes within +-%d, got %d, at %s[%lld, %lld]", kLargestInt8,
              least, name, static_cast<long long>(at / columns_of(codes)),
              static_cast<long long>(at % columns_of(codes)));
}

}  // namespace tersor::cpu
