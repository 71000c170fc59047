// How `pack_nm_int8` lays an N:M weight of i8 out (see tersor_nm in backend/backend.h): tiles and steps as in layout.h,
// without most of the zeros.
//
// Four columns hold at most `held` nonzeros, however the groups of M lie across them. Where those could be all four,
// the layout is the dense one. Else steps go in eights, of which each half (16 rows of the tile) is
//   masks   u32 [16]             four bits a step, lowest first: which columns are stored
//   values  i8 [8][16][held]     by ascending column, then anything
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/int8/layout.h"

namespace tersor::cpu {

inline constexpr int64_t kNmInt8Steps = 8;  // that share masks
inline constexpr int64_t kNmInt8HalfRows = kInt8Columns / 2;

struct PackedNmInt8 {
  const uint8_t* data;
  int64_t rows, columns, keep, group;

  // The most nonzeros of four columns that begin at a multiple of four.
  int64_t held() const {
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
  bool is_dense() const { return held() == kInt8Depth; }

  PackedInt8 dense() const { return {data, rows, columns}; }
  int64_t tiles() const { return dense().tiles(); }
  int64_t eights() const { return (dense().steps() + kNmInt8Steps - 1) / kNmInt8Steps; }
  int64_t half_bytes() const { return kNmInt8HalfRows * (4 + kNmInt8Steps * held()); }
  int64_t tile_bytes() const { return is_dense() ? dense().tile_bytes() : kInt8SumBytes + eights() * 2 * half_bytes(); }

  const int32_t* row_sums(int64_t tile) const { return reinterpret_cast<const int32_t*>(data + tile * tile_bytes()); }
  // Of steps that do not lie as in the dense layout.
  const uint8_t* eight(int64_t tile, int64_t number) const {
    return data + tile * tile_bytes() + kInt8SumBytes + number * 2 * half_bytes();
  }
};

}  // namespace tersor::cpu
