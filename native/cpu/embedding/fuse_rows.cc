#include <algorithm>
#include <cstring>

#include "backend/fail.h"
#include "cpu/compress/affine.h"
#include "cpu/compress/bits.h"
#include "cpu/embedding/bag.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {

tersor_status fuse_rows(tersor_context* context, const tersor_tensor* codes, const tersor_affine* affine, int32_t bits,
                        const tersor_tensor* rows) {
  const int64_t count = rows_of(codes), columns = columns_of(codes);
  if (const tersor_status status = check_affine(context, affine, count, columns); status != TERSOR_OK) return status;
  if (affine->group_size < columns) {
    return fail(context, TERSOR_UNSUPPORTED, "expected one group a row, got groups of %lld in rows of %lld",
                static_cast<long long>(affine->group_size), static_cast<long long>(columns));
  }
  const int from_bits = bits_of(codes->dtype);
  const int32_t shift = codes->dtype == TERSOR_I8 ? 128 : 0;  // fused codes are unsigned
  const int64_t from_stride = row_bytes(codes->dtype, columns), stride = columns_of(rows);
  const AffineGroups groups(affine, columns);
  FirstPlace bad;
  const tersor_status status = for_chunks(context, count, row_grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const uint8_t* from = data_of<const uint8_t>(codes) + row * from_stride;
      uint8_t* to = data_of<uint8_t>(rows) + row * stride;
      uint8_t block[kPackBlock];
      for (int64_t first = 0; first < columns; first += kPackBlock) {
        const int64_t here = std::min(kPackBlock, columns - first);
        if (from_bits < 8) {
          unpack_codes(from + first * from_bits / 8, here, from_bits, block);
        } else {
          for (int64_t j = 0; j < here; ++j) block[j] = static_cast<uint8_t>(from[first + j] + shift);
        }
        if (bits < 8) {
          pack_codes(block, here, bits, to + first * bits / 8);
        } else {
          std::memcpy(to + first, block, static_cast<size_t>(here));
        }
      }
      groups.for_columns(row, 0, std::min<int64_t>(columns, 1), bad, [&](const AffineGroup& group, int64_t, int64_t) {
        const float bias = group.bias - group.scale * static_cast<float>(group.zero_point + shift);
        std::memcpy(to + stride - 8, &group.scale, sizeof group.scale);
        std::memcpy(to + stride - 4, &bias, sizeof bias);
      });
    }
  });
  if (status != TERSOR_OK) return status;
  return bad.found() ? groups.explain(context, bad) : TERSOR_OK;
}

}  // namespace tersor::cpu
