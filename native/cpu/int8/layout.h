// How `pack_int8` lays a weight i8 [rows, columns] out (see tersor_int8_weight in backend/backend.h), for the kernels
// that read it.
//
// 32 rows of the weight, which are columns of the product, make a tile: the sums of those rows as i32, then 128 bytes
// for every step of four k. Lane i (32 bits) of a step is row i of the tile, byte b of a lane is k + b: what vpdpbusd
// multiplies. Rows and k that the weight does not have are 0.
#pragma once

#include <cstdint>

namespace tersor::cpu {

inline constexpr int64_t kInt8Columns = 32;
inline constexpr int64_t kInt8Depth = 4;  // k per step
inline constexpr int64_t kInt8StepBytes = kInt8Columns * kInt8Depth;
inline constexpr int64_t kInt8SumBytes = kInt8Columns * 4;

struct PackedInt8 {
  const uint8_t* data;
  int64_t rows, columns;

  int64_t tiles() const { return (rows + kInt8Columns - 1) / kInt8Columns; }
  int64_t steps() const { return (columns + kInt8Depth - 1) / kInt8Depth; }
  int64_t tile_bytes() const { return kInt8SumBytes + steps() * kInt8StepBytes; }

  const int32_t* row_sums(int64_t tile) const { return reinterpret_cast<const int32_t*>(data + tile * tile_bytes()); }
  const int8_t* step(int64_t tile, int64_t step) const {
    return reinterpret_cast<const int8_t*>(data + tile * tile_bytes() + kInt8SumBytes + step * kInt8StepBytes);
  }
};

}  // namespace tersor::cpu
