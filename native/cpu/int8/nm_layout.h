// How `pack_nm_int8` lays an N:M weight of i8 out (see tersor_nm in backend/backend.h): tiles and steps as in layout.h,
// without most of the zeros.
//
// Four columns hold at most `held` nonzeros, however the groups of M lie across them. Where those could be three or
// four, the layout is the dense one. Else steps go in eights, of which each half (16 rows of the tile) is
//   masks   u32 [16]                                  four bits a step, lowest first: which columns are stored
//   values  i8 [2 * held][4 quarters][4 / held][4][held]
// where 64 bytes are 4 / held steps, 16 of them (a lane that bytes are shuffled in) those of four rows, and values go
// by ascending column, then anything.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/int8/layout.h"

namespace tersor::cpu {

inline constexpr int64_t kNmInt8Steps = 8;  // that share masks
inline constexpr int64_t kNmInt8HalfRows = kInt8Columns / 2;

// The most nonzeros of four columns that begin at a multiple of four, when each `group` has at most `keep`.
constexpr int64_t nm_held(int64_t keep, int64_t group) {
  int64_t most = 0;
  for (int64_t step = 0; step < group; ++step) {
    int64_t count = 0;
    for (int64_t at = step * kInt8Depth, left = kInt8Depth; left > 0;) {
      const int64_t inside = std::min(left, group - at % group);
      count += std::min(inside, keep);
      at += inside;
      left -= inside;
    }
    most = std::max(most, count);
  }
  return most;
}

struct PackedNmInt8 {
  const uint8_t* data;
  int64_t rows, columns, held;

  bool is_dense() const { return held > 2; }

  PackedInt8 dense() const { return {data, rows, columns}; }
  int64_t tiles() const { return dense().tiles(); }
  int64_t eights() const { return (dense().steps() + kNmInt8Steps - 1) / kNmInt8Steps; }
  int64_t half_bytes() const { return kNmInt8HalfRows * (4 + kNmInt8Steps * held); }
  int64_t tile_bytes() const { return is_dense() ? dense().tile_bytes() : kInt8SumBytes + eights() * 2 * half_bytes(); }

  // In a half, where the values of a row begin at a step of its eight.
  int64_t place(int64_t step, int64_t row) const {
    const int64_t steps = kInt8Depth / held;
    return kNmInt8HalfRows * 4 + step / steps * 64 + row / 4 * 16 + step % steps * 4 * held + row % 4 * held;
  }

  const int32_t* row_sums(int64_t tile) const { return reinterpret_cast<const int32_t*>(data + tile * tile_bytes()); }
  // Of steps that do not lie as in the dense layout.
  const uint8_t* eight(int64_t tile, int64_t number) const {
    return data + tile * tile_bytes() + kInt8SumBytes + number * 2 * half_bytes();
  }
};

}  // namespace tersor::cpu
