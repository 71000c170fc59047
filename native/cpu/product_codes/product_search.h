// Search among rows in product codes: what the kernels of an instruction set get to see. Rows lie in tiles of 64, the
// codes of one subspace side by side: 64 bytes of 8-bit codes, or of two subspaces' 4-bit codes, the first in the low
// halves.
//
// A query's tables of f32 numbers decide; tables of bytes, rounded down, find the few rows that are worth adding up.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "backend/kernels.h"

namespace tersor::cpu {

inline constexpr int64_t kProductRows = 64;

// Bit r: whether the bytes of row r of a tile, one from each subspace's table of 256 or 16, add up to `least` or more.
// A row with less may pass too. An odd last subspace of 4-bit codes has a table of zeros beside it.
using ProductFilter = uint64_t(const uint8_t* tile, int64_t subspaces, const uint8_t* tables, uint16_t least);

ProductFilter product_filter_none;
ProductFilter product_filter8_avx512vbmi, product_filter8_neon;
ProductFilter product_filter4_avx2, product_filter4_avx512, product_filter4_neon;

// Of codes of 8 and 4 bits.
extern const KernelList<ProductFilter> product_filter8_kernels, product_filter4_kernels;

tersor_status product_search_with(ProductFilter* filter, tersor_context* context, const tersor_tensor* queries,
                                  const tersor_tensor* centroids, const tersor_product_index* index,
                                  const tersor_tensor* ids, const tersor_tensor* scores);

}  // namespace tersor::cpu
