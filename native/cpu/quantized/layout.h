// How `pack_quantized` lays codes out (see tersor_quantized in backend/backend.h), for the kernels that read them.
//
// A header (PackedHeader), then tiles. 32 output columns (rows of the weight) make a tile; a tile is blocks of
// consecutive k, then its offsets. A block holds 32 f32 scales, 32 i16 negated zero points, and codes in lines of 64
// bytes: lane i (32 bits) of a line = columns i and 16 + i, byte b of a lane = k + b. `code_place` says which bits of
// which line; three bits fill the six bits left over in each three lines with the codes of every fourth step.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tersor::cpu {

inline constexpr int64_t kPackedHeader = 128;
inline constexpr int64_t kTileColumns = 32;
inline constexpr int64_t kBlockDepth = 256;  // the longest block: sums of three int8 digits times 8-bit codes fit int32
inline constexpr int64_t kDepthStep = 16;    // blocks are padded to a multiple of this with codes that meet zeros
inline constexpr int64_t kBlockHeader = kTileColumns * 6;
inline constexpr int64_t kOffsetBytes = kTileColumns * 4;

inline int64_t padded_depth(int64_t depth) { return (depth + kDepthStep - 1) / kDepthStep * kDepthStep; }

inline constexpr int kCodebookSize = 16;   // values, those of narrower codes repeated
inline constexpr int kCodebookZero = 128;  // what the bytes of a codebook count from

// What kernels want to know of all parameters at once.
struct PackedHeader {
  int32_t zero_point;       // that all groups share, as an unsigned code; -1 when they differ
  int32_t moderate_scales;  // 1 when a sum of codes times any scale stays among the normal numbers of f32
  int32_t has_codebook;     // 1 when codes are numbers of values
  float unit;               // what a step of the bytes below is worth
  uint8_t bytes[kCodebookSize];
  float values[kCodebookSize];
};

// Where the code of a step of four k lies: its first bit in byte b of a lane of the line at `line` bytes.
struct CodePlace {
  int64_t line;
  int shift;
};

// Of columns 0-15 (half 0) or 16-31. For 3 bits, only of steps with step % 4 < 3; see kSplitStep.
constexpr CodePlace code_place(int bits, int64_t step, int half) {
  const int quarter = static_cast<int>(step % 4);
  switch (bits) {
    case 1:
      return {step / 4 * 64, quarter * 2 + half};
    case 2:
      return {step / 2 * 64, quarter % 2 * 4 + half * 2};
    case 3:
      return {step / 4 * 192 + quarter * 64, half * 3};
    case 4:
      return {step * 64, half * 4};
    default:
      return {step * 128 + half * 64, 0};
  }
}

// Three bits: the codes of this step (modulo 4) have their lower two bits above the others' in line `half` of the
// three, and their highest bit in the third line.
inline constexpr int kSplitStep = 3;
inline constexpr int kSplitLow = 6;                      // first bit in line `half`
constexpr int split_high(int half) { return 6 + half; }  // bit in the third line

// Consecutive blocks of a tile that share a scale for each row of x: at most kBlockDepth columns, with padding.
struct Span {
  int64_t block, blocks;     // the first, and how many
  int64_t k, depth;          // columns
  int64_t block_depth;       // of each block but the last
  int64_t offset;            // of the first block in its tile
  int64_t padded_k, padded;  // columns with the padding of blocks: before this span, and in it

  int64_t depth_of(int64_t i) const { return std::min(block_depth, depth - i * block_depth); }
};

// A packed weight [rows, columns].
struct PackedMatrix {
  const uint8_t* data;
  int64_t rows, columns;
  int bits;  // 1 to 4, or 8
  int64_t group_size;
  bool has_offsets;

  const PackedHeader& header() const { return *reinterpret_cast<const PackedHeader*>(data); }
  bool has_codebook() const { return bits < 8 && header().has_codebook == 1; }
  // -1 when groups have zero points of their own.
  int32_t shared_zero() const {
    const int32_t zero = header().zero_point;
    return zero >= 0 && zero <= 255 ? zero : -1;
  }
  const uint8_t* tile(int64_t number) const { return data + kPackedHeader + number * tile_bytes(); }
  int64_t tiles() const { return (rows + kTileColumns - 1) / kTileColumns; }
  int64_t block_bytes(int64_t depth) const { return kBlockHeader + padded_depth(depth) * kTileColumns * bits / 8; }
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

  // The most blocks of a span: groups of 128 columns and more have their blocks each to itself; smaller ones come
  // together.
  int64_t blocks_together() const { return group_size >= 128 ? 1 : kBlockDepth / padded_depth(group_size); }

  template <typename Body>
  void for_spans(Body&& body) const {
    const int64_t together = blocks_together();
    Span span = {};
    for_blocks([&](int64_t block, int64_t k, int64_t depth, int64_t offset) {
      if (span.blocks == together) {
        body(static_cast<const Span&>(span));
        span = {block, 0, k, 0, 0, offset, span.padded_k + span.padded, 0};
      }
      if (span.blocks == 0) span.block_depth = depth;
      ++span.blocks;
      span.depth += depth;
      span.padded += padded_depth(depth);
    });
    if (span.blocks > 0) body(static_cast<const Span&>(span));
  }

 private:
  static int64_t blocks_of(int64_t depth) { return (depth + kBlockDepth - 1) / kBlockDepth; }
  int64_t bytes_of(int64_t depth) const {
    const int64_t rest = depth % kBlockDepth;
    return depth / kBlockDepth * block_bytes(kBlockDepth) + (rest == 0 ? 0 : block_bytes(rest));
  }
};

}  // namespace tersor::cpu
