#include <algorithm>
#include <cstring>

#include "backend/fail.h"
#include "cpu/aligned.h"
#include "cpu/finite.h"
#include "cpu/ids.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/product_codes/product_codes.h"

namespace tersor::cpu {
namespace {

constexpr int64_t kMostCentroids = 256;

// Centroids of all subspaces with one column beside the other, [subspaces][width][count], so that distances to many of
// them are formed at a time.
tersor_status transpose(tersor_context* context, const Centroids& centroids, AlignedBuffer<float>* out) {
  const int64_t size = centroids.columns() * centroids.count;
  if (const tersor_status status = out->allocate(context, size); status != TERSOR_OK) return status;
  float* to = out->data();
  for (int64_t s = 0; s < centroids.subspaces; ++s) {
    for (int64_t j = 0; j < centroids.width; ++j) {
      for (int64_t c = 0; c < centroids.count; ++c) *to++ = centroids.of(s, c)[j];
    }
  }
  return TERSOR_OK;
}

// The first of the nearest; `columns` are a subspace's, [width][kCount].
template <int64_t kCount>
int64_t nearest(const float* x, const float* columns, int64_t width) {
  float distances[kCount] = {};
  for (int64_t j = 0; j < width; ++j, columns += kCount) {
    const float value = x[j];
    for (int64_t c = 0; c < kCount; ++c) {
      const float difference = value - columns[c];
      distances[c] += difference * difference;
    }
  }
  return std::min_element(distances, distances + kCount) - distances;
}

}  // namespace

tersor_status product_encode(tersor_context* context, const tersor_tensor* x, const tersor_tensor* centroids,
                             const tersor_tensor* codes) {
  const Centroids view(centroids);
  const int64_t columns = view.columns(), stride = row_bytes(codes->dtype, view.subspaces);
  const float* from = data_of<const float>(x);
  if (const int64_t bad = first_non_finite(view.values, columns * view.count); bad >= 0) {
    return fail(context, TERSOR_NOT_FINITE, "expected finite centroids, got %g, at element %lld",
                static_cast<double>(view.values[bad]), static_cast<long long>(bad));
  }
  AlignedBuffer<float> transposed;
  if (const tersor_status status = transpose(context, view, &transposed); status != TERSOR_OK) return status;
  FirstPlace bad;
  const int64_t grain = row_grain(columns * view.count / 4);
  const tersor_status status = for_chunks(context, rows_of(x), grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* numbers = from + row * columns;
      if (const int64_t place = first_non_finite(numbers, columns); place >= 0) {
        bad.report(row * columns + place);
        continue;
      }
      uint8_t* to = data_of<uint8_t>(codes) + row * stride;
      std::memset(to, 0, static_cast<size_t>(stride));
      for (int64_t s = 0; s < view.subspaces; ++s) {
        const float* own = transposed.data() + s * view.width * view.count;
        if (view.count == kMostCentroids) {
          to[s] = static_cast<uint8_t>(nearest<kMostCentroids>(numbers + s * view.width, own, view.width));
        } else {
          to[s / 2] |= static_cast<uint8_t>(nearest<16>(numbers + s * view.width, own, view.width) << (s % 2 * 4));
        }
      }
    }
  });
  if (status != TERSOR_OK || !bad.found()) return status;
  const int64_t at = bad.place();
  return fail(context, TERSOR_NOT_FINITE, "expected finite values, got %g, at x[%lld, %lld]",
              static_cast<double>(from[at]), static_cast<long long>(at / columns),
              static_cast<long long>(at % columns));
}

tersor_status product_decode(tersor_context* context, const tersor_product_table* table, const tersor_tensor* ids,
                             const tersor_tensor* y) {
  const Centroids centroids(&table->centroids);
  const int64_t rows = rows_of(&table->codes), stride = row_bytes(table->codes.dtype, centroids.subspaces);
  if (ids != nullptr) {
    if (const tersor_status status = check_ids(context, ids, rows); status != TERSOR_OK) return status;
  }
  const auto* id = ids == nullptr ? nullptr : data_of<const int32_t>(ids);
  const int64_t count = ids == nullptr ? rows : elements_of(ids);
  const auto bytes = static_cast<size_t>(centroids.width) * sizeof(float);
  return for_chunks(context, count, row_grain(centroids.columns()), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const uint8_t* codes = data_of<const uint8_t>(&table->codes) + (id == nullptr ? i : id[i]) * stride;
      float* to = data_of<float>(y) + i * centroids.columns();
      for (int64_t s = 0; s < centroids.subspaces; ++s) {
        const int64_t code = centroids.count == kMostCentroids ? code_at<8>(codes, s) : code_at<4>(codes, s);
        std::memcpy(to + s * centroids.width, centroids.of(s, code), bytes);
      }
    }
  });
}

}  // namespace tersor::cpu
