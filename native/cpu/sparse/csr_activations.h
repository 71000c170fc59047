// Activations as the products with a packed CSR weight read them: turned, sixteen side by side, block by block of the
// weight's columns, so that a unit's words lie in one cache line.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "cpu/own_copies.h"
#include "cpu/sparse/csr_layout.h"
#include "cpu/sparse/transpose.h"
#include "cpu/view.h"

namespace tersor::cpu {

template <typename Word>
class CsrActivations {
 public:
  // Planes [first, first + planes) of those that are laid out together.
  struct Tile {
    int64_t first, planes;
  };

  CsrActivations(const PackedCsr& w, const tersor_tensor* x)
      : x_(data_of<const uint8_t>(x)),
        m_(rows_of(x)),
        row_bytes_(row_bytes(x->dtype, columns_of(x))),
        depth_(w.header().depth),
        blocks_(std::max<int64_t>(1, w.block_count())),
        plane_words_((depth_ + 1) * kCsrLanes),
        widest_(kBlockWords / (depth_ * kCsrLanes)) {}

  int64_t count() const { return m_; }
  int64_t planes() const { return (m_ + kCsrLanes - 1) / kCsrLanes; }
  int64_t widest() const { return widest_; }  // of tiles, in planes: what fits the L1 cache
  int64_t plane_words() const { return plane_words_; }

  // Copies of at most so many planes, and of a single activation.
  OwnCopies copies(int64_t planes) const {
    return OwnCopies(static_cast<size_t>(planes * blocks_ * plane_words_) * sizeof(Word));
  }
  OwnCopies copies_of_single() const { return OwnCopies(static_cast<size_t>(blocks_ * (depth_ + 1)) * sizeof(Word)); }

  // The calling thread's copy of planes [first, first + planes); null when there is no memory.
  const Word* laid_out(const OwnCopies& copies, int64_t first, int64_t planes) const {
    return static_cast<const Word*>(copies.get(first, [&](void* to) {
      for_tiles(0, planes, [&](const Tile& tile) { lay_out(first, tile, static_cast<Word*>(to)); });
    }));
  }

  // Tiles of 4, 2 and 1 planes, at most widest(), the same ones wherever `begin` is a multiple of it.
  template <typename Body>
  void for_tiles(int64_t begin, int64_t end, Body&& body) const {
    int64_t planes = widest_;
    for (int64_t first = begin; first < end; first += planes) {
      while (planes > end - first) planes /= 2;
      body(Tile{first, planes});
    }
  }

  // Words from the start of the layout to block b of a tile: tile, block, plane, unit, lane.
  int64_t place_of(const Tile& tile, int64_t b) const {
    return (tile.first * blocks_ + b * tile.planes) * plane_words_;
  }

  // One activation: as it is, with a zero behind every block.
  const Word* laid_out_single(const OwnCopies& copies) const {
    return static_cast<const Word*>(copies.get(0, [&](void* memory) {
      auto* to = static_cast<Word*>(memory);
      std::memset(to, 0, static_cast<size_t>(blocks_ * (depth_ + 1)) * sizeof(Word));
      for (int64_t b = 0; b < blocks_; ++b) {
        const int64_t begin = b * depth_ * 4;
        std::memcpy(to + b * (depth_ + 1), x_ + begin, static_cast<size_t>(std::min(depth_ * 4, row_bytes_ - begin)));
      }
    }));
  }

  int64_t place_in_single(int64_t b) const { return b * (depth_ + 1); }

 private:
  static constexpr int64_t kBlockWords = 4 * 128 * kCsrLanes;

  // All blocks of a tile of the planes that begin with `first`.
  void lay_out(int64_t first, const Tile& tile, Word* words) const {
    for (int64_t plane = 0; plane < tile.planes; ++plane) {
      const int64_t row = (first + tile.first + plane) * kCsrLanes, rows = std::min(kCsrLanes, m_ - row);
      for (int64_t b = 0; b < blocks_; ++b) {
        Word* to = words + place_of(tile, b) + plane * plane_words_;
        const uint8_t* from = x_ + row * row_bytes_ + b * depth_ * 4;
        // Units that columns of x stand for wholly; the rest of the block is zero.
        const int64_t whole = std::clamp<int64_t>(row_bytes_ / 4 - b * depth_, 0, depth_);
        transpose_kernels.best()(from, row_bytes_, rows, whole, to, kCsrLanes);
        for (int64_t unit = 0; rows < kCsrLanes && unit < whole; ++unit) {
          std::fill(to + unit * kCsrLanes + rows, to + (unit + 1) * kCsrLanes, Word{0});
        }
        std::fill(to + whole * kCsrLanes, to + plane_words_, Word{0});
        const int64_t rest = std::min(depth_ * 4, row_bytes_ - b * depth_ * 4) - whole * 4;
        for (int64_t i = 0; i < rows && rest > 0; ++i) {
          std::memcpy(to + whole * kCsrLanes + i, from + i * row_bytes_ + whole * 4, static_cast<size_t>(rest));
        }
      }
    }
  }

  const uint8_t* x_;
  int64_t m_, row_bytes_, depth_, blocks_, plane_words_, widest_;
};

}  // namespace tersor::cpu
