#include "cpu/search/search.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "backend/fail.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/search/layout.h"
#include "cpu/search/top.h"
#include "cpu/view.h"

namespace tersor::cpu {

// clang-format off
#if TERSOR_X86
#define TERSOR_INTEGER_KERNELS(format) \
  {"search_" #format "_avx512vnni", Isa::avx512_vnni, search_##format##_avx512vnni}, \
  {"search_" #format "_avx2", Isa::avx2, search_##format##_avx2}, \
  {"search_" #format "_scalar", Isa::scalar, search_##format##_scalar}
#elif TERSOR_ARM
#define TERSOR_INTEGER_KERNELS(format) \
  {"search_" #format "_neondotprod", Isa::neon_dotprod, search_##format##_neondotprod}, \
  {"search_" #format "_neon", Isa::neon, search_##format##_neon}, \
  {"search_" #format "_scalar", Isa::scalar, search_##format##_scalar}
#else
#define TERSOR_INTEGER_KERNELS(format) {"search_" #format "_scalar", Isa::scalar, search_##format##_scalar}
#endif
// clang-format on

const KernelList<SearchKernel<float>> search_f32_kernels("search f32", {
#if TERSOR_X86
  {"search_f32_avx512", Isa::avx512, search_f32_avx512}, {"search_f32_avx2", Isa::avx2, search_f32_avx2},
#elif TERSOR_ARM
  {"search_f32_neon", Isa::neon, search_f32_neon},
#endif
      {"search_f32_scalar", Isa::scalar, search_f32_scalar},
});
const KernelList<SearchKernel<int32_t>> search_int8_kernels("search int8", {TERSOR_INTEGER_KERNELS(int8)});
const KernelList<SearchKernel<int32_t>> search_int4_kernels("search int4", {TERSOR_INTEGER_KERNELS(int4)});
const KernelList<SearchKernel<int32_t>> search_binary_kernels("search binary", {TERSOR_INTEGER_KERNELS(binary)});

#undef TERSOR_INTEGER_KERNELS

namespace {

constexpr int64_t kQueriesAtOnce = 64;
constexpr int64_t kBytesPerChunk = int64_t{1} << 19;  // of vectors, for up to eight queries
constexpr int64_t kFewestTiles = 64;                  // of a chunk: what it finds is sorted
constexpr int64_t kHitBytes = int64_t{64} << 20;      // of candidates; with more, chunks become longer

// A block of queries against every vector: each chunk of vectors finds the best of its own, which are then merged.
template <typename Score>
class Search {
 public:
  Search(SearchKernel<Score>* kernel, const tersor_tensor* queries, const tersor_search_index* index,
         const tersor_tensor* ids, const tersor_tensor* scores)
      : kernel_(kernel),
        queries_(data_of<const uint8_t>(queries)),
        index_(*index),
        k_(columns_of(ids)),
        count_(rows_of(ids)),
        query_bytes_(row_bytes(queries->dtype, index->columns)),
        word_bytes_(index->format == TERSOR_SEARCH_INT4 ? 8 : kStepBytes),
        steps_(steps_of(index->columns, index->format)),
        tile_bytes_(tile_bytes(index->columns, index->format)),
        tiles_(tiles_of(index->rows)),
        ids_(data_of<int32_t>(ids)),
        scores_(data_of<Score>(scores)) {
    const int64_t at_once = std::min(count_, kQueriesAtOnce);
    chunk_tiles_ = std::max(kFewestTiles, kBytesPerChunk / (tile_bytes_ * std::max<int64_t>(1, at_once / 8)));
    const int64_t most_chunks = std::max<int64_t>(1, kHitBytes / std::max<int64_t>(1, at_once * k_ * 16));
    chunk_tiles_ = std::max(chunk_tiles_, (tiles_ + most_chunks - 1) / most_chunks);
    chunks_ = (tiles_ + chunk_tiles_ - 1) / chunk_tiles_;
  }

  tersor_status run(tersor_context* context) {
    const int64_t at_once = std::min(count_, kQueriesAtOnce);
    const int64_t words = at_once * steps_ * word_bytes_;
    const int64_t hit_bytes = chunks_ * at_once * 2 * k_ * static_cast<int64_t>(sizeof(Hit<Score>));
    const int64_t merged_bytes = at_once * chunks_ * k_ * static_cast<int64_t>(sizeof(Hit<Score>));
    const int64_t bytes = hit_bytes + merged_bytes + chunks_ * at_once * 8 + words + at_once * 4;
    void* memory = nullptr;
    if (const tersor_status status = scratch(context, static_cast<size_t>(bytes), &memory); status != TERSOR_OK) {
      return status;
    }
    hits_ = static_cast<Hit<Score>*>(memory);
    merged_ = hits_ + chunks_ * at_once * 2 * k_;
    found_ = reinterpret_cast<int64_t*>(merged_ + at_once * chunks_ * k_);
    words_ = reinterpret_cast<uint8_t*>(found_ + chunks_ * at_once);
    sums_ = reinterpret_cast<int32_t*>(words_ + words);
    for (int64_t first = 0; first < count_; first += kQueriesAtOnce) {
      const int64_t here = std::min(kQueriesAtOnce, count_ - first);
      lay_out(first, here);
      for (SharedLimit<Score>& limit : shared_) limit.reset();
      tersor_status status = for_chunks(context, chunks_, 1, [&](int64_t begin, int64_t end) {
        for (int64_t chunk = begin; chunk < end; ++chunk) find(chunk, first, here);
      });
      if (status != TERSOR_OK) return status;
      if (not_a_number_.found()) return explain(context);
      status = for_chunks(context, here, 4, [&](int64_t begin, int64_t end) {
        for (int64_t q = begin; q < end; ++q) merge(q, first, here);
      });
      if (status != TERSOR_OK) return status;
    }
    return TERSOR_OK;
  }

 private:
  // Queries with zeros behind their last column, and the sums of their codes.
  void lay_out(int64_t first, int64_t count) {
    const int64_t stride = steps_ * word_bytes_;
    std::memset(words_, 0, static_cast<size_t>(count * stride));
    for (int64_t q = 0; q < count; ++q) {
      uint8_t* to = words_ + q * stride;
      std::memcpy(to, queries_ + (first + q) * query_bytes_, static_cast<size_t>(query_bytes_));
      sums_[q] = 0;
      if (index_.format == TERSOR_SEARCH_INT8 || index_.format == TERSOR_SEARCH_INT4) {
        for (int64_t j = 0; j < index_.columns; ++j) sums_[q] += static_cast<int8_t>(to[j]);
      } else if (index_.format == TERSOR_SEARCH_BINARY && index_.columns % 8 != 0) {
        to[query_bytes_ - 1] = static_cast<uint8_t>(to[query_bytes_ - 1] & ((1 << (index_.columns % 8)) - 1));
      }
    }
  }

  void find(int64_t chunk, int64_t first_query, int64_t count) {
    Score limits[kQueriesAtOnce], scores[kQueriesAtOnce * kSearchRows];
    uint32_t above[kQueriesAtOnce];
    const Score factor = index_.format == TERSOR_SEARCH_BINARY ? -1 : index_.distances != 0 ? 2 : 1;
    Hit<Score>* memory = hits_ + chunk * count * 2 * k_;
    alignas(Top<Score>) unsigned char storage[kQueriesAtOnce * sizeof(Top<Score>)];
    auto* tops = reinterpret_cast<Top<Score>*>(storage);
    for (int64_t q = 0; q < count; ++q) {
      new (tops + q) Top<Score>(memory + q * 2 * k_, k_, shared_[q].limit());
      limits[q] = tops[q].limit();
    }
    const SearchQueries<Score> queries{words_, steps_ * word_bytes_, sums_, limits, count};
    const int64_t last = std::min(tiles_, (chunk + 1) * chunk_tiles_);
    for (int64_t tile = chunk * chunk_tiles_; tile < last; ++tile) {
      kernel_(data_of<const uint8_t>(&index_.packed) + tile * tile_bytes_, steps_, queries, factor, scores, above);
      const int64_t rows = std::min(kSearchRows, index_.rows - tile * kSearchRows);
      const uint32_t real = rows == kSearchRows ? ~0u : (1u << rows) - 1;
      for (int64_t q = 0; q < count; ++q) {
        for (uint32_t left = above[q] & real; left != 0; left &= left - 1) {
          const int lane = std::countr_zero(left);
          const Score score = scores[q * kSearchRows + lane];
          const int64_t row = tile * kSearchRows + lane;
          if constexpr (std::is_floating_point_v<Score>) {
            if (std::isnan(score)) {
              not_a_number_.report((first_query + q) * index_.rows + row);
              continue;
            }
          }
          tops[q].add(score, static_cast<int32_t>(row));
          limits[q] = tops[q].limit();
        }
      }
    }
    for (int64_t q = 0; q < count; ++q) {
      const int64_t found = found_[chunk * count + q] = tops[q].finish();
      if (found == k_) shared_[q].raise(memory[q * 2 * k_ + k_ - 1].score);
    }
  }

  void merge(int64_t q, int64_t first_query, int64_t count) {
    Hit<Score>* all = merged_ + q * chunks_ * k_;
    Hit<Score>* end = all;
    for (int64_t chunk = 0; chunk < chunks_; ++chunk) {
      end = std::copy_n(hits_ + (chunk * count + q) * 2 * k_, found_[chunk * count + q], end);
    }
    std::partial_sort(all, all + k_, end, ahead<Score>);
    for (int64_t i = 0; i < k_; ++i) {
      ids_[(first_query + q) * k_ + i] = all[i].row;
      scores_[(first_query + q) * k_ + i] = all[i].score;
    }
  }

  tersor_status explain(tersor_context* context) const {
    const int64_t at = not_a_number_.place();
    return fail(context, TERSOR_NOT_FINITE, "expected scores that are numbers, got NaN, at queries[%lld] and row %lld",
                static_cast<long long>(at / index_.rows), static_cast<long long>(at % index_.rows));
  }

  SearchKernel<Score>* kernel_;
  const uint8_t* queries_;
  tersor_search_index index_;
  int64_t k_, count_, query_bytes_, word_bytes_, steps_, tile_bytes_, tiles_, chunk_tiles_ = 1, chunks_ = 1;
  int32_t* ids_;
  Score* scores_;
  Hit<Score>*hits_ = nullptr, *merged_ = nullptr;
  int64_t* found_ = nullptr;
  uint8_t* words_ = nullptr;
  int32_t* sums_ = nullptr;
  SharedLimit<Score> shared_[kQueriesAtOnce];
  FirstPlace not_a_number_;
};

template <typename Score>
tersor_status run(SearchKernel<Score>* kernel, tersor_context* context, const tersor_tensor* queries,
                  const tersor_search_index* index, const tersor_tensor* ids, const tersor_tensor* scores) {
  const int64_t k = columns_of(ids);
  if (k < 1 || k > index->rows) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected 1 <= k <= %lld, got %lld", static_cast<long long>(index->rows),
                static_cast<long long>(k));
  }
  if (queries->dtype == TERSOR_I8) {
    if (const tersor_status status = check_int8(context, queries, "queries"); status != TERSOR_OK) return status;
  }
  if (rows_of(queries) == 0) return TERSOR_OK;
  return Search<Score>(kernel, queries, index, ids, scores).run(context);
}

}  // namespace

tersor_status search_with(SearchKernel<float>* kernel, tersor_context* context, const tersor_tensor* queries,
                          const tersor_search_index* index, const tersor_tensor* ids, const tersor_tensor* scores) {
  return run(kernel, context, queries, index, ids, scores);
}

tersor_status search_with(SearchKernel<int32_t>* kernel, tersor_context* context, const tersor_tensor* queries,
                          const tersor_search_index* index, const tersor_tensor* ids, const tersor_tensor* scores) {
  return run(kernel, context, queries, index, ids, scores);
}

tersor_status search(tersor_context* context, const tersor_tensor* queries, const tersor_search_index* index,
                     const tersor_tensor* ids, const tersor_tensor* scores) {
  switch (index->format) {
    case TERSOR_SEARCH_F32:
      return search_with(search_f32_kernels.best(), context, queries, index, ids, scores);
    case TERSOR_SEARCH_INT8:
      return search_with(search_int8_kernels.best(), context, queries, index, ids, scores);
    case TERSOR_SEARCH_INT4:
      return search_with(search_int4_kernels.best(), context, queries, index, ids, scores);
    default:
      return search_with(search_binary_kernels.best(), context, queries, index, ids, scores);
  }
}

}  // namespace tersor::cpu
