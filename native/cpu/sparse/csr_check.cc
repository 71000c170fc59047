#include "cpu/sparse/csr_check.h"

#include <cstdint>
#include <limits>

#include "backend/fail.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

tersor_status check_offsets(tersor_context* context, const uint32_t* offsets, int64_t rows, int64_t nonzeros,
                            int64_t row_limit) {
  if (offsets[0] != 0) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected 0, got %u, at row_offsets[0]", offsets[0]);
  }
  for (int64_t n = 0; n < rows; ++n) {
    if (offsets[n + 1] < offsets[n] || offsets[n + 1] > nonzeros) {
      return fail(context, TERSOR_OUT_OF_RANGE, "expected an offset in [%u, %lld], got %u, at row_offsets[%lld]",
                  offsets[n], static_cast<long long>(nonzeros), offsets[n + 1], static_cast<long long>(n + 1));
    }
    if (offsets[n + 1] - offsets[n] > row_limit) {
      return fail(context, TERSOR_UNSUPPORTED, "expected at most %lld nonzeros in a row, got %u, at row %lld",
                  static_cast<long long>(row_limit), offsets[n + 1] - offsets[n], static_cast<long long>(n));
    }
  }
  if (offsets[rows] != nonzeros) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected %lld, the number of nonzeros, got %u, at row_offsets[%lld]",
                static_cast<long long>(nonzeros), offsets[rows], static_cast<long long>(rows));
  }
  return TERSOR_OK;
}

// The first loop has no exit, so that it vectorises: the sign bit of column | (largest - column) is set when the column
// is outside [0, largest].
tersor_status check_columns(tersor_context* context, const uint32_t* columns, int64_t nonzeros, int64_t cols) {
  const auto largest = static_cast<uint32_t>(cols) - 1;
  uint32_t outside = cols == 0 && nonzeros > 0 ? 0x80000000u : 0u;
  for (int64_t j = 0; j < nonzeros; ++j) outside |= columns[j] | (largest - columns[j]);
  if (outside >> 31 == 0) return TERSOR_OK;
  int64_t j = 0;
  while (columns[j] < cols) ++j;
  return fail(context, TERSOR_OUT_OF_RANGE, "expected a column < %lld, got %u, at columns[%lld]",
              static_cast<long long>(cols), columns[j], static_cast<long long>(j));
}

tersor_status check_order(tersor_context* context, const uint32_t* offsets, const uint32_t* columns, int64_t rows) {
  for (int64_t n = 0; n < rows; ++n) {
    for (uint32_t j = offsets[n]; j + 1 < offsets[n + 1]; ++j) {
      if (columns[j] < columns[j + 1]) continue;
      return fail(context, TERSOR_OUT_OF_RANGE, "expected a column > %u inside row %lld, got %u, at columns[%u]",
                  columns[j], static_cast<long long>(n), columns[j + 1], j + 1);
    }
  }
  return TERSOR_OK;
}

}  // namespace

tersor_status check_csr(tersor_context* context, const tersor_csr* w, int64_t row_limit) {
  const int64_t nonzeros = elements_of(&w->columns);
  if (w->cols > std::numeric_limits<int32_t>::max() || nonzeros > std::numeric_limits<int32_t>::max()) {
    return fail(context, TERSOR_UNSUPPORTED, "expected fewer than 2^31 columns and nonzeros, got %lld and %lld",
                static_cast<long long>(w->cols), static_cast<long long>(nonzeros));
  }
  const auto* offsets = data_of<const uint32_t>(&w->row_offsets);
  const auto* columns = data_of<const uint32_t>(&w->columns);
  tersor_status status = check_offsets(context, offsets, w->rows, nonzeros, row_limit);
  if (status == TERSOR_OK) status = check_columns(context, columns, nonzeros, w->cols);
  return status == TERSOR_OK ? check_order(context, offsets, columns, w->rows) : status;
}

tersor_status check_packed(tersor_context* context, const tersor_packed_csr* w, CsrWords words) {
  const int64_t bytes = elements_of(&w->packed);
  if (bytes >= static_cast<int64_t>(sizeof(CsrHeader))) {
    const CsrHeader& header = PackedCsr(w->packed.data).header();
    if (header.magic == kCsrMagic && header.bytes == bytes && header.rows == w->rows && header.cols == w->cols &&
        (words == CsrWords::i8 ? header.has_integers() : header.words == words)) {
      return TERSOR_OK;
    }
  }
  const char* values = words == CsrWords::i8 ? "of integers" : words == CsrWords::f32 ? "f32" : "u32";
  return fail(context, TERSOR_INVALID_ARGUMENT,
              "expected what pack_csr makes of a weight %s [%lld, %lld], got other bytes, at packed", values,
              static_cast<long long>(w->rows), static_cast<long long>(w->cols));
}

tersor_status check_values(tersor_context* context, const tersor_packed_csr* pattern, const tersor_tensor* values) {
  const int64_t nonzeros = PackedCsr(pattern->packed.data).header().nonzeros;
  if (elements_of(values) == nonzeros) return TERSOR_OK;
  return fail(context, TERSOR_INVALID_SHAPE, "expected %lld values, one for every nonzero, got %lld, at values",
              static_cast<long long>(nonzeros), static_cast<long long>(elements_of(values)));
}

}  // namespace tersor::cpu
