// Bags of rows of an embedding table: what the kernels of an instruction set get to see. Checks and the division of the
// work are in embedding_bag.cc.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "backend/kernels.h"

namespace tersor::cpu {

// Rows are fetched this many look-ups before they are used, across the ends of bags. Of long rows so many do not fit in
// the first-level cache, and the second one takes more requests at a time.
inline constexpr int64_t kRowsAhead = 64, kLongRowsAhead = 128;
inline constexpr int64_t kLongRowBytes = 128;

// How rows hold numbers.
enum class BagFormat { f32, f16, bf16, int8, int4, int2 };

constexpr int element_bits(BagFormat format) {
  constexpr int kBits[] = {32, 16, 16, 8, 4, 2};
  return kBits[static_cast<int>(format)];
}

// Scale and bias at the end of a row of codes.
inline constexpr int64_t kRowParameterBytes = 8;

struct BagTable {
  const uint8_t* rows;
  int64_t row_bytes, columns;
  int64_t ahead;  // look-ups between the fetch of a row and its use
  bool to_l2;     // it is fetched to the second-level cache only
};

struct Bags {
  const int32_t* ids;  // [count]
  int64_t count;
  const int64_t* bounds;  // bag b holds ids [bounds[b], bounds[b + 1])
  const float* weights;   // [count] or null; not with max
  tersor_bag_mode mode;
};

// y[b] for bags [first, last).
using BagKernel = void(const BagTable& table, const Bags& bags, int64_t first, int64_t last, float* y);

BagKernel bag_f32_scalar, bag_f16_scalar, bag_bf16_scalar, bag_int8_scalar, bag_int4_scalar, bag_int2_scalar;
BagKernel bag_f32_neon, bag_f16_neon, bag_bf16_neon, bag_int8_neon, bag_int4_neon, bag_int2_neon;
BagKernel bag_f32_avx2, bag_f16_avx2, bag_bf16_avx2, bag_int8_avx2, bag_int4_avx2, bag_int2_avx2;
BagKernel bag_f32_avx512, bag_f16_avx512, bag_bf16_avx512, bag_int8_avx512, bag_int4_avx512, bag_int2_avx512;

// The kernels for tables of a format.
const KernelList<BagKernel>& bag_kernels(BagFormat format);

// Of the table's dtype and bits.
BagFormat format_of(const tersor_embedding& table);

tersor_status embedding_bag_with(BagKernel* kernel, tersor_context* context, const tersor_embedding* table,
                                 const tersor_bags* bags, const tersor_tensor* y);

}  // namespace tersor::cpu
