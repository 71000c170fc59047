#include "cpu/product_codes/product_search.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>

#include "backend/fail.h"
#include "cpu/aligned.h"
#include "cpu/finite.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/product_codes/product_codes.h"
#include "cpu/search/top.h"

namespace tersor::cpu {

const KernelList<ProductFilter> product_filter8_kernels("product search 8 bit", {
#if TERSOR_X86
  {"product_filter8_avx512vbmi", Isa::avx512_vbmi, product_filter8_avx512vbmi},
#elif TERSOR_ARM
  {"product_filter8_neon", Isa::neon, product_filter8_neon},
#endif
      {"product_filter_none", Isa::scalar, product_filter_none},
});
const KernelList<ProductFilter> product_filter4_kernels("product search 4 bit", {
#if TERSOR_X86
  {"product_filter4_avx512", Isa::avx512, product_filter4_avx512},
      {"product_filter4_avx2", Isa::avx2, product_filter4_avx2},
#elif TERSOR_ARM
  {"product_filter4_neon", Isa::neon, product_filter4_neon},
#endif
      {"product_filter_none", Isa::scalar, product_filter_none},
});

// Adding up every row costs less than finding out which to add up without vectors of bytes.
uint64_t product_filter_none(const uint8_t*, int64_t, const uint8_t*, uint16_t) { return ~uint64_t{0}; }

namespace {

constexpr int64_t kQueriesAtOnce = 16;                // whose tables lie in the second-level cache together
constexpr int64_t kBytesPerChunk = int64_t{1} << 17;  // of codes
constexpr int64_t kFewestTiles = 16;                  // of a chunk: what it finds is sorted
constexpr int64_t kHitBytes = int64_t{64} << 20;      // of candidates; with more, chunks become longer

int64_t tile_bytes(int64_t subspaces, int bits) { return (bits == 8 ? subspaces : (subspaces + 1) / 2) * kProductRows; }
int64_t tiles_of(int64_t rows) { return (rows + kProductRows - 1) / kProductRows; }

// A query's tables, and what makes a row's sum of bytes worth looking at.
struct Tables {
  const float* numbers;  // [subspaces][count]
  uint8_t* bytes;        // the same, in steps of `unit` from the smallest of each subspace, rounded down
  double base, unit;     // number = (smallest of its subspace) + unit * (byte + less than 1); base: of a whole row
  double slack;          // that sums in f32 may err by

  // The least sum of bytes of a row that may score above `limit`.
  uint16_t least(float limit, int64_t subspaces) const {
    if (std::isnan(limit)) return 0;
    const double sum = (static_cast<double>(limit) - slack - base) / unit - static_cast<double>(subspaces) - 1;
    return static_cast<uint16_t>(std::clamp(sum, 0.0, 65535.0));
  }
};

class ProductSearch {
 public:
  ProductSearch(ProductFilter* filter, const tersor_tensor* queries, const tersor_tensor* centroids,
                const tersor_product_index* index, const tersor_tensor* ids, const tersor_tensor* scores)
      : filter_(filter),
        queries_(data_of<const float>(queries)),
        centroids_(centroids),
        index_(*index),
        k_(columns_of(ids)),
        count_(rows_of(ids)),
        at_once_(std::min(count_, kQueriesAtOnce)),
        entries_(index->subspaces * centroids_.count),
        // Room for the zeros beside an odd last subspace.
        byte_entries_((index->subspaces + 1) / 2 * 2 * centroids_.count),
        tile_bytes_(tile_bytes(index->subspaces, index->bits)),
        tiles_(tiles_of(index->rows)),
        ids_(data_of<int32_t>(ids)),
        scores_(data_of<float>(scores)) {
    chunk_tiles_ = std::max(kFewestTiles, kBytesPerChunk / std::max<int64_t>(1, tile_bytes_));
    const int64_t most_chunks = std::max<int64_t>(1, kHitBytes / (at_once_ * k_ * 16));
    chunk_tiles_ = std::max(chunk_tiles_, (tiles_ + most_chunks - 1) / most_chunks);
    chunks_ = (tiles_ + chunk_tiles_ - 1) / chunk_tiles_;
  }

  tersor_status run(tersor_context* context) {
    for (const tersor_status status :
         {numbers_.allocate(context, at_once_ * entries_), bytes_.allocate(context, at_once_ * byte_entries_),
          hits_.allocate(context, chunks_ * at_once_ * 2 * k_), merged_.allocate(context, at_once_ * chunks_ * k_),
          found_.allocate(context, chunks_ * at_once_)}) {
      if (status != TERSOR_OK) return status;
    }
    for (int64_t first = 0; first < count_; first += at_once_) {
      const int64_t here = std::min(at_once_, count_ - first);
      for (int64_t q = 0; q < here; ++q) {
        if (!make_tables(first + q, q)) {
          return fail(context, TERSOR_NOT_FINITE,
                      "expected products with centroids that are finite, got another, at queries[%lld]",
                      static_cast<long long>(first + q));
        }
        shared_[q].reset();
      }
      tersor_status status = for_chunks(context, chunks_, 1, [&](int64_t begin, int64_t end) {
        for (int64_t chunk = begin; chunk < end; ++chunk) {
          for (int64_t q = 0; q < here; ++q) find(chunk, q);
        }
      });
      if (status != TERSOR_OK) return status;
      status = for_chunks(context, here, 4, [&](int64_t begin, int64_t end) {
        for (int64_t q = begin; q < end; ++q) merge(q, first);
      });
      if (status != TERSOR_OK) return status;
    }
    return TERSOR_OK;
  }

 private:
  // False when an entry is not finite.
  bool make_tables(int64_t query, int64_t slot) {
    const float* q = queries_ + query * centroids_.columns();
    float* to = numbers_.data() + slot * entries_;
    for (int64_t s = 0; s < centroids_.subspaces; ++s, q += centroids_.width) {
      for (int64_t c = 0; c < centroids_.count; ++c) {
        const float* centroid = centroids_.of(s, c);
        float sum = 0;
        for (int64_t j = 0; j < centroids_.width; ++j) {
          sum += (index_.distances != 0 ? 2 * q[j] - centroid[j] : q[j]) * centroid[j];
        }
        to[s * centroids_.count + c] = sum;
      }
    }
    if (first_non_finite(to, entries_) >= 0) return false;
    round_tables(to, slot);
    return true;
  }

  void round_tables(const float* numbers, int64_t slot) {
    Tables& tables = tables_[slot];
    tables = {numbers, bytes_.data() + slot * byte_entries_, 0, 0, 0};
    double largest = 0;
    for (int64_t s = 0; s < centroids_.subspaces; ++s) {
      const float* own = numbers + s * centroids_.count;
      const auto [low, high] = std::minmax_element(own, own + centroids_.count);
      tables.base += static_cast<double>(*low);
      tables.unit = std::max(tables.unit, (static_cast<double>(*high) - static_cast<double>(*low)) / 255);
      largest += std::max(std::abs(static_cast<double>(*low)), std::abs(static_cast<double>(*high)));
    }
    tables.slack = 0x1p-23 * static_cast<double>(centroids_.subspaces) * largest;
    if (tables.unit == 0) tables.unit = 1;
    std::memset(tables.bytes, 0, static_cast<size_t>(byte_entries_));
    for (int64_t s = 0; s < centroids_.subspaces; ++s) {
      const float* own = numbers + s * centroids_.count;
      const auto low = static_cast<double>(*std::min_element(own, own + centroids_.count));
      for (int64_t c = 0; c < centroids_.count; ++c) {
        const double steps = (static_cast<double>(own[c]) - low) / tables.unit;
        tables.bytes[s * centroids_.count + c] = static_cast<uint8_t>(std::min(steps, 255.0));
      }
    }
  }

  template <int kBits>
  int64_t code_of(const uint8_t* tile, int64_t subspace, int64_t row) const {
    if constexpr (kBits == 8) return tile[subspace * kProductRows + row];
    return tile[subspace / 2 * kProductRows + row] >> (subspace % 2 * 4) & 15;
  }

  // Scores of a tile's rows from `row` on, in the order of subspaces: the same bits for one row as for all.
  template <int kBits, int64_t kRows>
  void add_up(const uint8_t* tile, int64_t row, const float* numbers, float* scores) const {
    std::fill(scores, scores + kRows, 0.0f);
    for (int64_t s = 0; s < index_.subspaces; ++s, numbers += centroids_.count) {
      for (int64_t i = 0; i < kRows; ++i) scores[i] += numbers[code_of<kBits>(tile, s, row + i)];
    }
  }

  template <int64_t kRows>
  void add_up(const uint8_t* tile, int64_t row, const float* numbers, float* scores) const {
    if (index_.bits == 8) return add_up<8, kRows>(tile, row, numbers, scores);
    add_up<4, kRows>(tile, row, numbers, scores);
  }

  void find(int64_t chunk, int64_t q) {
    const Tables& tables = tables_[q];
    Hit<float>* memory = hits_.data() + (chunk * at_once_ + q) * 2 * k_;
    Top<float> top(memory, k_, shared_[q].limit());
    float limit = top.limit(), scores[kProductRows];
    uint16_t least = tables.least(limit, index_.subspaces);
    const int64_t last = std::min(tiles_, (chunk + 1) * chunk_tiles_);
    for (int64_t number = chunk * chunk_tiles_; number < last; ++number) {
      const uint8_t* tile = data_of<const uint8_t>(&index_.packed) + number * tile_bytes_;
      const int64_t rows = std::min(kProductRows, index_.rows - number * kProductRows);
      uint64_t left = least == 0 ? ~uint64_t{0} : filter_(tile, index_.subspaces, tables.bytes, least);
      const bool all = left == ~uint64_t{0};
      if (all) add_up<kProductRows>(tile, 0, tables.numbers, scores);
      if (rows < kProductRows) left &= (uint64_t{1} << rows) - 1;
      for (; left != 0; left &= left - 1) {
        const int64_t row = std::countr_zero(left);
        float one;
        if (!all) add_up<1>(tile, row, tables.numbers, &one);
        top.add(all ? scores[row] : one, static_cast<int32_t>(number * kProductRows + row));
      }
      if (const float now = top.limit(); now != limit && !std::isnan(now)) {
        limit = now;
        least = tables.least(limit, index_.subspaces);
      }
    }
    const int64_t found = found_[chunk * at_once_ + q] = top.finish();
    if (found == k_) shared_[q].raise(memory[k_ - 1].score);
  }

  void merge(int64_t q, int64_t first_query) {
    Hit<float>* all = merged_.data() + q * chunks_ * k_;
    Hit<float>* end = all;
    for (int64_t chunk = 0; chunk < chunks_; ++chunk) {
      end = std::copy_n(hits_.data() + (chunk * at_once_ + q) * 2 * k_, found_[chunk * at_once_ + q], end);
    }
    std::partial_sort(all, all + k_, end, ahead<float>);
    for (int64_t i = 0; i < k_; ++i) {
      ids_[(first_query + q) * k_ + i] = all[i].row;
      scores_[(first_query + q) * k_ + i] = all[i].score;
    }
  }

  ProductFilter* filter_;
  const float* queries_;
  Centroids centroids_;
  tersor_product_index index_;
  int64_t k_, count_, at_once_, entries_, byte_entries_, tile_bytes_, tiles_, chunk_tiles_ = 1, chunks_ = 1;
  int32_t* ids_;
  float* scores_;
  AlignedBuffer<float> numbers_;
  AlignedBuffer<uint8_t> bytes_;
  AlignedBuffer<Hit<float>> hits_, merged_;
  AlignedBuffer<int64_t> found_;
  Tables tables_[kQueriesAtOnce];
  SharedLimit<float> shared_[kQueriesAtOnce];
};

}  // namespace

int64_t product_search_bytes(int64_t rows, int64_t subspaces, int32_t bits) {
  int64_t bytes;
  return __builtin_mul_overflow(tiles_of(rows), tile_bytes(subspaces, bits), &bytes)
             ? std::numeric_limits<int64_t>::max()
             : bytes;
}

tersor_status pack_product_search(tersor_context* context, const tersor_tensor* codes, const tersor_tensor* packed) {
  const int64_t rows = rows_of(codes), subspaces = columns_of(codes), stride = row_bytes(codes->dtype, subspaces);
  const int bits = bits_of(codes->dtype);
  const int64_t bytes = tile_bytes(subspaces, bits);
  return for_chunks(context, tiles_of(rows), row_grain(bytes), [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      uint8_t* to = data_of<uint8_t>(packed) + tile * bytes;
      std::memset(to, 0, static_cast<size_t>(bytes));
      for (int64_t i = 0; i < std::min(kProductRows, rows - tile * kProductRows); ++i) {
        // A byte of a row is a byte of the tile for both widths. The last one's upper half may be unset.
        const uint8_t* from = data_of<const uint8_t>(codes) + (tile * kProductRows + i) * stride;
        for (int64_t j = 0; j < stride; ++j) to[j * kProductRows + i] = from[j];
        if (bits == 4 && subspaces % 2 == 1) to[(stride - 1) * kProductRows + i] &= 15;
      }
    }
  });
}

tersor_status product_search_with(ProductFilter* filter, tersor_context* context, const tersor_tensor* queries,
                                  const tersor_tensor* centroids, const tersor_product_index* index,
                                  const tersor_tensor* ids, const tersor_tensor* scores) {
  const int64_t k = columns_of(ids);
  if (k < 1 || k > index->rows) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected 1 <= k <= %lld, got %lld", static_cast<long long>(index->rows),
                static_cast<long long>(k));
  }
  if (rows_of(queries) == 0) return TERSOR_OK;
  return ProductSearch(filter, queries, centroids, index, ids, scores).run(context);
}

tersor_status product_search(tersor_context* context, const tersor_tensor* queries, const tersor_tensor* centroids,
                             const tersor_product_index* index, const tersor_tensor* ids, const tersor_tensor* scores) {
  const auto& kernels = index->bits == 8 ? product_filter8_kernels : product_filter4_kernels;
  return product_search_with(kernels.best(), context, queries, centroids, index, ids, scores);
}

}  // namespace tersor::cpu
