#include "cpu/compress/codebook.h"

#include "cpu/compress/affine.h"
#include "cpu/compress/bits.h"
#include "cpu/finite.h"
#include "cpu/ids.h"
#include "cpu/operations.h"

namespace tersor::cpu {
namespace {

constexpr int64_t kMostValues = 16;

// Where one value ends and the next begins: halfway. What lies there belongs to the lower one.
struct Bounds {
  float between[kMostValues - 1];
  int64_t count;

  explicit Bounds(const tersor_codebook& codebook) : between{}, count(elements_of(codebook.values) - 1) {
    const float* values = data_of<const float>(codebook.values);
    for (int64_t i = 0; i < count; ++i) between[i] = 0.5f * values[i] + 0.5f * values[i + 1];
  }

  // By counting the bounds below each number: no branches, and vectors of numbers at a time.
  void encode(const float* x, int64_t numbers, float scale, uint8_t* codes) const {
    for (int64_t j = 0; j < numbers; ++j) {
      const float v = x[j] / scale;
      int32_t code = 0;
      for (int64_t i = 0; i < count; ++i) code += v > between[i] ? 1 : 0;
      codes[j] = static_cast<uint8_t>(code);
    }
  }
};

tersor_status check(tersor_context* context, const tersor_codebook& codebook, const tersor_affine& affine, int64_t rows,
                    int64_t columns) {
  if (const tersor_status status = check_affine(context, &affine, rows, columns); status != TERSOR_OK) return status;
  return check_codebook(context, codebook);
}

}  // namespace

tersor_status check_codebook(tersor_context* context, const tersor_codebook& codebook) {
  const float* values = data_of<const float>(codebook.values);
  const int64_t count = elements_of(codebook.values);
  for (int64_t i = 0; i < count; ++i) {
    if (is_finite(values[i]) && (i == 0 || values[i] >= values[i - 1])) continue;
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected finite values that ascend, got %g, at values[%lld]",
                static_cast<double>(values[i]), static_cast<long long>(i));
  }
  return TERSOR_OK;
}

tersor_status codebook_encode(tersor_context* context, const tersor_tensor* x, const tersor_codebook* codebook,
                              const tersor_tensor* codes) {
  const int64_t rows = rows_of(x), columns = columns_of(x), stride = row_bytes(codes->dtype, columns);
  const tersor_affine affine = affine_of(*codebook);
  if (const tersor_status status = check(context, *codebook, affine, rows, columns); status != TERSOR_OK) {
    return status;
  }
  const Bounds bounds(*codebook);
  const AffineGroups groups(&affine, columns);
  const int bits = bits_of(codes->dtype);
  const float* from = data_of<const float>(x);
  FirstPlace bad, bad_value;
  const tersor_status status = for_chunks(context, rows, row_grain(4 * columns), [&](int64_t begin, int64_t end) {
    uint8_t block[kPackBlock] = {};
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t first = 0; first < columns; first += kPackBlock) {
        const int64_t last = std::min(columns, first + kPackBlock);
        groups.for_columns(row, first, last, bad, [&](const AffineGroup& group, int64_t start, int64_t stop) {
          const float* numbers = from + row * columns + start;
          const int64_t wrong = first_non_finite(numbers, stop - start);
          if (wrong >= 0) return bad_value.report(row * columns + start + wrong);
          bounds.encode(numbers, stop - start, group.scale, block + (start - first));
        });
        pack_codes(block, last - first, bits, data_of<uint8_t>(codes) + row * stride + first * bits / 8);
      }
    }
  });
  if (status != TERSOR_OK) return status;
  if (bad.found()) return groups.explain(context, bad);
  if (!bad_value.found()) return TERSOR_OK;
  const int64_t at = bad_value.place();
  return fail(context, TERSOR_NOT_FINITE, "expected finite values, got %g, at x[%lld, %lld]",
              static_cast<double>(from[at]), static_cast<long long>(at / columns),
              static_cast<long long>(at % columns));
}

tersor_status codebook_decode(tersor_context* context, const tersor_tensor* codes, const tersor_codebook* codebook,
                              const tersor_tensor* ids, const tersor_tensor* y) {
  const int64_t rows = rows_of(codes), columns = columns_of(codes), stride = row_bytes(codes->dtype, columns);
  const tersor_affine affine = affine_of(*codebook);
  if (const tersor_status status = check(context, *codebook, affine, rows, columns); status != TERSOR_OK) {
    return status;
  }
  if (ids != nullptr) {
    if (const tersor_status status = check_ids(context, ids, rows); status != TERSOR_OK) return status;
  }
  const auto* id = ids == nullptr ? nullptr : data_of<const int32_t>(ids);
  const int64_t count = ids == nullptr ? rows : elements_of(ids);
  const int bits = bits_of(codes->dtype);
  const AffineGroups groups(&affine, columns);
  const float* values = data_of<const float>(codebook->values);
  FirstPlace bad;
  const tersor_status status = for_chunks(context, count, row_grain(columns), [&](int64_t begin, int64_t end) {
    uint8_t block[kPackBlock];
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = id == nullptr ? i : id[i];
      const uint8_t* from = data_of<const uint8_t>(codes) + row * stride;
      float* to = data_of<float>(y) + i * columns;
      for (int64_t first = 0; first < columns; first += kPackBlock) {
        const int64_t last = std::min(columns, first + kPackBlock);
        unpack_codes(from + first * bits / 8, last - first, bits, block);
        groups.for_columns(row, first, last, bad, [&](const AffineGroup& group, int64_t start, int64_t stop) {
          for (int64_t j = start; j < stop; ++j) to[j] = group.scale * values[block[j - first]];
        });
      }
    }
  });
  if (status != TERSOR_OK) return status;
  return bad.found() ? groups.explain(context, bad) : TERSOR_OK;
}

}  // namespace tersor::cpu
