#include <bit>
#include <cstring>

#include "cpu/search/search.h"

namespace tersor::cpu {
namespace {

// add(sums, 32 rows of a step, the query's words of it) for every step, then the scores.
template <int kWordBytes, typename Score, typename Add>
void search(const uint8_t* tile, int64_t steps, const SearchQueries<Score>& queries, Score factor, Score* scores,
            uint32_t* above, Add&& add) {
  for (int64_t q = 0; q < queries.count; ++q) {
    Score sums[kSearchRows] = {}, terms[kSearchRows];
    std::memcpy(terms, tile, sizeof terms);
    for (int64_t step = 0; step < steps; ++step) {
      add(sums, tile + (1 + step) * kTileStep, queries.words + q * queries.stride + step * kWordBytes);
    }
    uint32_t bits = 0;
    for (int64_t row = 0; row < kSearchRows; ++row) {
      const Score score = factor * sums[row] - terms[row];
      scores[q * kSearchRows + row] = score;
      bits |= (score <= queries.limits[q] ? 0u : 1u) << row;
    }
    above[q] = bits;
  }
}

template <typename T>
T at(const uint8_t* p, int64_t i) {
  T value;
  std::memcpy(&value, p + i * static_cast<int64_t>(sizeof(T)), sizeof value);
  return value;
}

}  // namespace

void search_f32_scalar(const uint8_t* tile, int64_t steps, const SearchQueries<float>& queries, float factor,
                       float* scores, uint32_t* above) {
  search<4>(tile, steps, queries, factor, scores, above, [](float* sums, const uint8_t* rows, const uint8_t* word) {
    const auto x = at<float>(word, 0);
    for (int64_t row = 0; row < kSearchRows; ++row) sums[row] += at<float>(rows, row) * x;
  });
}

void search_int8_scalar(const uint8_t* tile, int64_t steps, const SearchQueries<int32_t>& queries, int32_t factor,
                        int32_t* scores, uint32_t* above) {
  search<4>(tile, steps, queries, factor, scores, above, [](int32_t* sums, const uint8_t* rows, const uint8_t* word) {
    for (int64_t i = 0; i < kTileStep; ++i) {
      sums[i / 4] += static_cast<int8_t>(rows[i]) * static_cast<int8_t>(word[i % 4]);
    }
  });
}

void search_int4_scalar(const uint8_t* tile, int64_t steps, const SearchQueries<int32_t>& queries, int32_t factor,
                        int32_t* scores, uint32_t* above) {
  search<8>(tile, steps, queries, factor, scores, above, [](int32_t* sums, const uint8_t* rows, const uint8_t* word) {
    for (int64_t i = 0; i < kTileStep; ++i) {
      sums[i / 4] += ((rows[i] & 15) - 8) * static_cast<int8_t>(word[i % 4]) +
                     ((rows[i] >> 4) - 8) * static_cast<int8_t>(word[4 + i % 4]);
    }
  });
}

void search_binary_scalar(const uint8_t* tile, int64_t steps, const SearchQueries<int32_t>& queries, int32_t factor,
                          int32_t* scores, uint32_t* above) {
  search<4>(tile, steps, queries, factor, scores, above, [](int32_t* sums, const uint8_t* rows, const uint8_t* word) {
    const auto bits = at<uint32_t>(word, 0);
    for (int64_t row = 0; row < kSearchRows; ++row) sums[row] += std::popcount(at<uint32_t>(rows, row) ^ bits);
  });
}

}  // namespace tersor::cpu
