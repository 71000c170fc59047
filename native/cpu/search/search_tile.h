// A tile of vectors against queries, written once for every vector instruction set: a word of each query is spread over
// the lanes and meets four bytes of every row.
//
// `Product` says what the bytes are: prepare(vector of a tile) once for all queries, start(query) and add(sum, row,
// word).
#pragma once

#include "cpu/search/search.h"

namespace tersor::cpu {
namespace {

template <typename Product, int kQueries, typename Score>
void search_block(const uint8_t* tile, int64_t steps, const SearchQueries<Score>& queries, int64_t first, Score factor,
                  Score* scores, uint32_t* above) {
  constexpr int kVectors = static_cast<int>(kTileStep) / Product::kVectorBytes;
  constexpr int kLanes = Product::kVectorBytes / 4;
  typename Product::Sum sums[kQueries][kVectors];
  const uint8_t* words[kQueries];
#pragma GCC unroll 8
  for (int q = 0; q < kQueries; ++q) {
    words[q] = queries.words + (first + q) * queries.stride;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums[q][v] = Product::start(queries.sums, first + q);
  }
  const uint8_t* at = tile + kTileStep;
  for (int64_t step = 0; step < steps; ++step, at += kTileStep) {
    typename Product::Rows rows[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) rows[v] = Product::load(at + v * Product::kVectorBytes);
#pragma GCC unroll 8
    for (int q = 0; q < kQueries; ++q) {
      const typename Product::Word word = Product::spread(words[q] + step * Product::kWordBytes);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sums[q][v] = Product::add(sums[q][v], rows[v], word);
    }
  }
#pragma GCC unroll 8
  for (int q = 0; q < kQueries; ++q) {
    uint32_t bits = 0;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      Score* to = scores + (first + q) * kSearchRows + v * kLanes;
      bits |= Product::finish(sums[q][v], tile + v * Product::kVectorBytes, factor, queries.limits[first + q], to)
              << (v * kLanes);
    }
    above[first + q] = bits;
  }
}

template <typename Product, int kMost, typename Score>
void search_tile(const uint8_t* tile, int64_t steps, const SearchQueries<Score>& queries, Score factor, Score* scores,
                 uint32_t* above) {
  int64_t q = 0;
  for (; q + kMost <= queries.count; q += kMost) {
    search_block<Product, kMost>(tile, steps, queries, q, factor, scores, above);
  }
  if constexpr (kMost > 4) {
    for (; q + 4 <= queries.count; q += 4) {
      search_block<Product, 4>(tile, steps, queries, q, factor, scores, above);
    }
  }
  for (; q < queries.count; ++q) search_block<Product, 1>(tile, steps, queries, q, factor, scores, above);
}

}  // namespace
}  // namespace tersor::cpu
