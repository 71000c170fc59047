// Activations as the products with a packed CSR weight read them: turned, sixteen side by side, block by block of the
// weight's columns, so that a unit's words lie in one cache line.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "cpu/parallel.h"
#include "cpu/scratch.h"
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
  int64_t widest() const { return widest_; }  // of tiles, in planes: what fits the L1 cache
  int64_t plane_words() const { return plane_words_; }

  // Lays out up to kMostPlanes planes at a time, then calls body(first plane, planes, where they are).
  template <typename Body>
  tersor_status for_passes(tersor_context* context, Body&& body) const {
    const int64_t bytes = blocks_ * plane_words_ * static_cast<int64_t>(sizeof(Word));
    const int64_t most = std::clamp<int64_t>(kScratchBytes / bytes / widest_ * widest_, widest_, kMostPlanes);
    const int64_t all = (m_ + kCsrLanes - 1) / kCsrLanes;
    void* memory = nullptr;
    tersor_status status = scratch(context, static_cast<size_t>(std::min(most, all) * bytes), &memory);
    auto* words = static_cast<Word*>(memory);
    for (int64_t first = 0; status == TERSOR_OK && first < all; first += most) {
      const int64_t planes = std::min(most, all - first);
      status = for_chunks(context, planes * blocks_, row_grain(plane_words_), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) lay_out(first, planes, i / blocks_, i % blocks_, words);
      });
      if (status == TERSOR_OK) status = body(first, planes, static_cast<const Word*>(words));
    }
    return status;
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

  // One activation: as it is, with a zero behind every block. Null status: words stay valid until the next scratch().
  tersor_status lay_out_single(tersor_context* context, const Word** words) const {
    void* memory = nullptr;
    const size_t bytes = static_cast<size_t>(blocks_ * (depth_ + 1)) * sizeof(Word);
    if (const tersor_status status = scratch(context, bytes, &memory); status != TERSOR_OK) return status;
    auto* to = static_cast<Word*>(memory);
    std::memset(to, 0, bytes);
    for (int64_t b = 0; b < blocks_; ++b) {
      const int64_t begin = b * depth_ * 4;
      std::memcpy(to + b * (depth_ + 1), x_ + begin, static_cast<size_t>(std::min(depth_ * 4, row_bytes_ - begin)));
    }
    *words = to;
    return TERSOR_OK;
  }

  int64_t place_in_single(int64_t b) const { return b * (depth_ + 1); }

 private:
  static constexpr int64_t kMostPlanes = 8;                   // for which the sums of a chunk fit the L2 cache
  static constexpr int64_t kScratchBytes = int64_t{8} << 20;  // laid out at a time
  static constexpr int64_t kBlockWords = 4 * 128 * kCsrLanes;

  // Block b of a plane.
  void lay_out(int64_t first_plane, int64_t planes, int64_t plane, int64_t b, Word* words) const {
    for_tiles(plane / widest_ * widest_, planes, [&](const Tile& tile) {
      if (plane < tile.first || plane >= tile.first + tile.planes) return;
      Word* to = words + place_of(tile, b) + (plane - tile.first) * plane_words_;
      const int64_t row = (first_plane + plane) * kCsrLanes, rows = std::min(kCsrLanes, m_ - row);
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
    });
  }

  const uint8_t* x_;
  int64_t m_, row_bytes_, depth_, blocks_, plane_words_, widest_;
};

}  // namespace tersor::cpu
