// How `pack_quantized` lays codes out (see tersor_quantized in backend/backend.h), for the kernels that read them.
//
// 32 output columns (rows of the weight) make a tile; a tile is blocks of consecutive k, then its offsets. A block
// holds 32 f32 scales, 32 i16 negated zero points, and codes: 64 bytes hold four k of 16 columns per 8 bits of plane
// width, lane i (32 bits) = column i, byte b of a lane = k + b. Narrower planes share the bytes, from the low bits up:
//   8 bits: columns 0-15, then in the next 64 bytes 16-31;   4 bits: columns 0-15 low, 16-31 high;
//   2 bits: k..k+3 as with 4 bits in bits 0-1 and 2-3, k+4..k+7 in bits 4-5 and 6-7.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tersor::cpu {

inline constexpr int64_t kTileColumns = 32;
inline constexpr int64_t kBlockDepth = 256;  // the longest block: sums of three int8 digits times 8-bit codes fit int32
inline constexpr int64_t kDepthStep = 8;     // blocks are padded to a multiple of this with codes that meet zeros
inline constexpr int64_t kBlockHeader = kTileColumns * 6;
inline constexpr int64_t kOffsetBytes = kTileColumns * 4;

inline int64_t padded_depth(int64_t depth) { return (depth + kDepthStep - 1) / kDepthStep * kDepthStep; }

// A packed weight [rows, columns].
struct PackedMatrix {
  const uint8_t* data;
  int64_t rows, columns;
  int plane_bits;  // 2, 4 or 8
  int64_t group_size;
  bool has_offsets;

  int64_t tiles() const { return (rows + kTileColumns - 1) / kTileColumns; }
  int64_t block_bytes(int64_t depth) const {
    return kBlockHeader + padded_depth(depth) * kTileColumns * plane_bits / 8;
  }
  int64_t blocks() const { return columns / group_size * blocks_of(group_size) + blocks_of(columns % group_size); }
  // Of the blocks of a tile; its offsets [blocks][32] follow.
  int64_t blocks_bytes() const { return columns / group_size * bytes_of(group_size) + bytes_of(columns % group_size); }
  int64_t tile_bytes() const { return blocks_bytes() + (has_offsets ? blocks() * kOffsetBytes : 0); }

  // body(block number, first k, depth, offset of the block in its tile) in order.
  template <typename Body>
  void for_blocks(Body&& body) const {
    int64_t block = 0, offset = 0;
    for (int64_t k = 0; k < columns; ++block) {
      const int64_t left_of_group = group_size - k % group_size;
      const int64_t depth = std::min({left_of_group, columns - k, kBlockDepth});
      body(block, k, depth, offset);
      offset += block_bytes(depth);
      k += depth;
    }
  }

 private:
  static int64_t blocks_of(int64_t depth) { return (depth + kBlockDepth - 1) / kBlockDepth; }
  int64_t bytes_of(int64_t depth) const {
    const int64_t rest = depth % kBlockDepth;
    return depth / kBlockDepth * block_bytes(kBlockDepth) + (rest == 0 ? 0 : block_bytes(rest));
  }
};

inline int plane_bits_of(int bits) { return bits <= 2 ? 2 : bits <= 4 ? 4 : 8; }

}  // namespace tersor::cpu
