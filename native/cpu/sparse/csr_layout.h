// A CSR weight as pack_csr lays it out and csr_gemm reads it.
//
// A unit is what meets one 32-bit word of an activation: a column of an f32 weight, four columns of a weight of
// integers (of which at least one is not zero). Rows are cut into chunks of about equal work, one thread's each, and
// units into blocks, whose activations fit the L1 cache. Inside a chunk and a block, rows are sorted by their number of
// units and taken 16 at a time: the lanes of a group. Slot s of a group holds the s-th unit of every lane, so a group
// takes as many slots as its longest row has units; lanes that have fewer are filled up with zeros, which meet a word
// of x that is zero (else NaN * 0 would spread).
//
//   CsrHeader
//   CsrChunk [chunks]
//   per chunk: CsrBlock [blocks with units], CsrGroup [groups], slots
//
// One layout serves any number of activations: sixteen and more lie side by side in lanes, and the rows of a group are
// so many independent sums; for a single one the rows of a group are the lanes.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tersor::cpu {

inline constexpr int64_t kCsrLanes = 16;      // rows in a group, and activations in a plane
inline constexpr int64_t kCsrSlotBytes = 96;  // u16 [16]: where in the block's activations, then 32-bit values [16]
inline constexpr int64_t kCsrSlotValues = 32;
// With values of four bits: byte i holds byte i of the values and, in its high bits, byte 32 + i, both + 8.
inline constexpr int64_t kCsrShortSlotBytes = 64;
inline constexpr int64_t kCsrWordBytes = 64;  // of one unit's 16 activations: what offsets in slots are counted in

inline constexpr uint64_t kCsrMagic = 0x31525343'52535254;

// What the values are: four i8 to a word, f32, in a pattern the place of a nonzero + 1, or four integers of four bits.
enum class CsrWords : int32_t { i8, f32, places, i4 };

struct CsrHeader {
  uint64_t magic;
  int64_t bytes;  // of everything
  int64_t rows, cols, nonzeros;
  CsrWords words;
  int32_t depth;  // units per block; the unit after them stands for zero
  int64_t chunks;
  int64_t most_rows;  // in a chunk

  bool has_integers() const { return words == CsrWords::i8 || words == CsrWords::i4; }
  int64_t unit_columns() const { return has_integers() ? 4 : 1; }
  int64_t slot_bytes() const { return words == CsrWords::i4 ? kCsrShortSlotBytes : kCsrSlotBytes; }
};

struct CsrChunk {
  int64_t row, rows;
  int64_t blocks_at, blocks;  // bytes from the start of the layout
};

struct CsrBlock {
  int64_t block;
  int64_t groups_at, groups;
};

struct CsrGroup {
  int64_t slots_at, slots;
  uint16_t rows[kCsrLanes];  // from the chunk's first; the number of rows in the chunk for a lane without a row
};

// Reads the parts of a layout.
class PackedCsr {
 public:
  explicit PackedCsr(const void* data) : data_(static_cast<const uint8_t*>(data)) {}

  const CsrHeader& header() const { return *at<CsrHeader>(0); }
  const CsrChunk& chunk(int64_t i) const { return at<CsrChunk>(sizeof(CsrHeader))[i]; }
  const CsrBlock* blocks(const CsrChunk& chunk) const { return at<CsrBlock>(chunk.blocks_at); }
  const CsrGroup* groups(const CsrBlock& block) const { return at<CsrGroup>(block.groups_at); }
  const uint8_t* data() const { return data_; }

  // A chunk's slots, in the order of its groups: [slots_at, end_of).
  int64_t slots_at(int64_t i) const {
    return chunk(i).blocks == 0 ? end_of(i) : groups(blocks(chunk(i))[0])[0].slots_at;
  }
  int64_t end_of(int64_t i) const { return i + 1 < header().chunks ? chunk(i + 1).blocks_at : header().bytes; }

  int64_t units() const { return (header().cols + header().unit_columns() - 1) / header().unit_columns(); }
  int64_t block_count() const { return (units() + header().depth - 1) / header().depth; }

 private:
  template <typename T>
  const T* at(int64_t offset) const {
    return reinterpret_cast<const T*>(data_ + offset);
  }

  const uint8_t* data_;
};

}  // namespace tersor::cpu
