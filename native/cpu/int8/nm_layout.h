// How `pack_nm_int8` lays an N:M weight of integers out (see tersor_nm in backend/backend.h): tiles and steps as in
// layout.h, without most of the zeros.
//
// Four columns hold at most `held` nonzeros, however the groups of M lie across them; three count as four. Steps go in
// eights, of which each half (16 rows of the tile) is
//   masks   u32 [16]                          four bits a step (see nm_mask_shift): which columns are stored
//   values  i8 [2 * held][16][4 / held][held] a word of 32 bits for every row: 4 / held steps
// and values go by ascending column, then anything. With 4 bits, 64 bytes hold 128 values as int4.h says. Where all
// four columns are held the layout is the dense one, whose steps of 4 bits take 64 bytes, in whole eights.
#pragma once

#include <algorithm>
#include <cstdint>

#include "backend/backend.h"
#include "cpu/int8/layout.h"

namespace tersor::cpu {

inline constexpr int64_t kNmInt8Steps = 8;  // that share masks
inline constexpr int64_t kNmInt8HalfRows = kInt8Columns / 2;

// Where the four bits of a step are: even steps of an eight have the low half of a mask, odd ones the high half, so
// that one look-up of halves decodes two steps.
constexpr int nm_mask_shift(int64_t step) { return static_cast<int>(step % 2 * 16 + step / 2 * 4); }

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
  return most > 2 ? kInt8Depth : most;
}

struct PackedNmInt8 {
  const uint8_t* data;
  int64_t rows, columns, held, bits;

  bool is_dense() const { return held == kInt8Depth && bits == 8; }

  PackedInt8 dense() const { return {data, rows, columns}; }
  int64_t tiles() const { return dense().tiles(); }
  int64_t eights() const { return (dense().steps() + kNmInt8Steps - 1) / kNmInt8Steps; }
  int64_t mask_bytes() const { return held == kInt8Depth ? 0 : kNmInt8HalfRows * 4; }
  int64_t half_bytes() const { return mask_bytes() + kNmInt8HalfRows * kNmInt8Steps * held * bits / 8; }
  int64_t tile_bytes() const { return is_dense() ? dense().tile_bytes() : kInt8SumBytes + eights() * 2 * half_bytes(); }

  // Among the values of a half that has masks, where those of a row begin at a step of its eight.
  int64_t place(int64_t step, int64_t row) const {
    const int64_t steps = kInt8Depth / held;
    return step / steps * 64 + row * 4 + step % steps * held;
  }

  const int32_t* row_sums(int64_t tile) const { return reinterpret_cast<const int32_t*>(data + tile * tile_bytes()); }
  // Of steps that do not lie as in the dense layout.
  const uint8_t* eight(int64_t tile, int64_t number) const {
    return data + tile * tile_bytes() + kInt8SumBytes + number * 2 * half_bytes();
  }
};

PackedNmInt8 packed_nm_int8(const tersor_nm& w);

}  // namespace tersor::cpu
