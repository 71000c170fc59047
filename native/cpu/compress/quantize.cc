#include "cpu/compress/affine.h"
#include "cpu/compress/bits.h"
#include "cpu/compress/encode.h"
#include "cpu/finite.h"
#include "cpu/ids.h"
#include "cpu/operations.h"

namespace tersor::cpu {
namespace {

// What codes of a type can hold.
struct CodeRange {
  int32_t lowest, highest;
};

CodeRange range_of(tersor_dtype dtype) {
  if (dtype == TERSOR_I8) return {-128, 127};
  return {0, (1 << bits_of(dtype)) - 1};
}

template <typename Code>
void decode(const AffineGroup& group, const Code* codes, int64_t count, float* y) {
  for (int64_t j = 0; j < count; ++j) {
    y[j] = group.value(static_cast<float>(static_cast<int32_t>(codes[j]) - group.zero_point));
  }
}

// One matrix to be coded, row by row.
struct Encoder {
  const float* x;
  int64_t columns;
  AffineGroups groups;
  FirstPlace bad_parameter, bad_value;

  // Codes of type i8 or u8, by their bits.
  void columns_of_row(int64_t row, int64_t first, int64_t last, uint8_t* codes) {
    groups.for_columns(row, first, last, bad_parameter, [&](const AffineGroup& group, int64_t begin, int64_t end) {
      const float* from = x + row * columns + begin;
      const Encoding encoding = {group.scale, group.bias, group.lower, group.upper, group.zero_point};
      if (encode_kernels.best()(encoding, from, end - begin, codes + (begin - first))) return;
      bad_value.report(row * columns + begin + first_non_finite(from, end - begin));
    });
  }

  void packed_row(int64_t row, int bits, uint8_t* packed) {
    uint8_t block[kPackBlock] = {};
    for (int64_t first = 0; first < columns; first += kPackBlock) {
      const int64_t last = std::min(columns, first + kPackBlock);
      columns_of_row(row, first, last, block);
      pack_codes(block, last - first, bits, packed + first * bits / 8);
    }
  }

  tersor_status result(tersor_context* context) const {
    if (bad_parameter.found()) return groups.explain(context, bad_parameter);
    if (!bad_value.found()) return TERSOR_OK;
    const int64_t at = bad_value.place();
    return fail(context, TERSOR_NOT_FINITE, "expected finite values, got %g, at x[%lld, %lld]",
                static_cast<double>(x[at]), static_cast<long long>(at / columns), static_cast<long long>(at % columns));
  }
};

void decode_packed_row(const AffineGroups& groups, int64_t row, const uint8_t* packed, int64_t columns, int bits,
                       FirstPlace& bad, float* y) {
  uint8_t block[kPackBlock];
  for (int64_t first = 0; first < columns; first += kPackBlock) {
    const int64_t last = std::min(columns, first + kPackBlock);
    unpack_codes(packed + first * bits / 8, last - first, bits, block);
    groups.for_columns(row, first, last, bad, [&](const AffineGroup& group, int64_t begin, int64_t end) {
      decode(group, block + (begin - first), end - begin, y + begin);
    });
  }
}

}  // namespace

tersor_status quantize(tersor_context* context, const tersor_tensor* x, const tersor_affine* affine,
                       const tersor_tensor* codes) {
  const int64_t rows = rows_of(x), columns = columns_of(x);
  if (const tersor_status status = check_affine(context, affine, rows, columns); status != TERSOR_OK) return status;
  const CodeRange range = range_of(codes->dtype);
  if (affine->code_min < range.lowest || affine->code_max > range.highest) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected a code range inside [%d, %d] of %s, got [%d, %d]", range.lowest,
                range.highest, name_of(codes->dtype), affine->code_min, affine->code_max);
  }
  Encoder encoder{data_of<const float>(x), columns, AffineGroups(affine, columns), {}, {}};
  const int64_t stride = row_bytes(codes->dtype, columns);
  const tersor_status status = for_chunks(context, rows, row_grain(columns), [&](int64_t row_begin, int64_t row_end) {
    for (int64_t row = row_begin; row < row_end; ++row) {
      uint8_t* to = data_of<uint8_t>(codes) + row * stride;
      if (is_bit_packed(codes->dtype)) {
        encoder.packed_row(row, bits_of(codes->dtype), to);
      } else {
        encoder.columns_of_row(row, 0, columns, to);
      }
    }
  });
  return status == TERSOR_OK ? encoder.result(context) : status;
}

tersor_status dequantize(tersor_context* context, const tersor_tensor* codes, const tersor_affine* affine,
                         const tersor_tensor* ids, const tersor_tensor* y) {
  const int64_t rows = rows_of(codes), columns = columns_of(codes);
  if (const tersor_status status = check_affine(context, affine, rows, columns); status != TERSOR_OK) return status;
  if (ids != nullptr) {
    if (const tersor_status status = check_ids(context, ids, rows); status != TERSOR_OK) return status;
  }
  const auto* id = ids == nullptr ? nullptr : data_of<const int32_t>(ids);
  const int64_t count = ids == nullptr ? rows : elements_of(ids);
  const int64_t stride = row_bytes(codes->dtype, columns);
  const AffineGroups groups(affine, columns);
  FirstPlace bad;
  const tersor_status status = for_chunks(context, count, row_grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = id == nullptr ? i : id[i];
      const uint8_t* from = data_of<const uint8_t>(codes) + row * stride;
      float* to = data_of<float>(y) + i * columns;
      if (is_bit_packed(codes->dtype)) {
        decode_packed_row(groups, row, from, columns, bits_of(codes->dtype), bad, to);
      } else {
        groups.for_row(row, bad, [&](const AffineGroup& group, int64_t first, int64_t last) {
          if (codes->dtype == TERSOR_I8) {
            decode(group, reinterpret_cast<const int8_t*>(from) + first, last - first, to + first);
          } else {
            decode(group, from + first, last - first, to + first);
          }
        });
      }
    }
  });
  if (status != TERSOR_OK) return status;
  return bad.found() ? groups.explain(context, bad) : TERSOR_OK;
}

}  // namespace tersor::cpu
