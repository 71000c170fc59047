// Exhaustive search: what the kernels of an instruction set get to see. Vectors lie in tiles of 32 rows, four bytes of
// each row side by side, so that sums of a row stay in a lane and nothing is added across lanes.
//
//   tile: 32 row terms (f32 or i32), then for each step 32 rows of 4 bytes: one f32, four i8, eight nibbles (the low
//   ones are the first four columns) or 32 bits
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "backend/kernels.h"

namespace tersor::cpu {

inline constexpr int64_t kSearchRows = 32;  // of a tile
inline constexpr int64_t kStepBytes = 4;    // of a row
inline constexpr int64_t kTileStep = kSearchRows * kStepBytes;

// Some queries beside each other: [count] of `stride` bytes.
template <typename Score>
struct SearchQueries {
  const uint8_t* words;  // f32, i8 or bits, zeros behind the last column
  int64_t stride;
  const int32_t* sums;  // of the i8 of each query
  const Score* limits;  // a row's score counts only above this; NaN lets all pass
  int64_t count;
};

// scores[q][row] = factor * product - row term for the 32 rows of a tile, and bit `row` of above[q] where that is above
// the query's limit or NaN.
template <typename Score>
using SearchKernel = void(const uint8_t* tile, int64_t steps, const SearchQueries<Score>& queries, Score factor,
                          Score* scores, uint32_t* above);

SearchKernel<float> search_f32_scalar, search_f32_avx2, search_f32_avx512, search_f32_neon;
SearchKernel<int32_t> search_int8_scalar, search_int8_avx2, search_int8_avx512vnni, search_int8_neon,
    search_int8_neondotprod;
SearchKernel<int32_t> search_int4_scalar, search_int4_avx2, search_int4_avx512vnni, search_int4_neon,
    search_int4_neondotprod;
SearchKernel<int32_t> search_binary_scalar, search_binary_avx2, search_binary_avx512vnni, search_binary_neon,
    search_binary_neondotprod;

extern const KernelList<SearchKernel<float>> search_f32_kernels;
extern const KernelList<SearchKernel<int32_t>> search_int8_kernels, search_int4_kernels, search_binary_kernels;

tersor_status search_with(SearchKernel<float>* kernel, tersor_context* context, const tersor_tensor* queries,
                          const tersor_search_index* index, const tersor_tensor* ids, const tersor_tensor* scores);
tersor_status search_with(SearchKernel<int32_t>* kernel, tersor_context* context, const tersor_tensor* queries,
                          const tersor_search_index* index, const tersor_tensor* ids, const tersor_tensor* scores);

}  // namespace tersor::cpu
