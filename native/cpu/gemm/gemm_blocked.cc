#include "cpu/gemm/gemm_blocked.h"

#include <algorithm>
#include <optional>

#include "core/thread_pool.h"
#include "cpu/gemm/gemm_layout.h"
#include "cpu/gemm/gemm_scratch.h"

namespace tersor::cpu {
namespace {

// Up to this many rows, tiles of dot products beat packing b; fewer when loads along k straddle cache lines.
constexpr int64_t kMostRowsForDots = 64, kMostRowsForStraddlingDots = 16;
// From this many rows on, packing a b whose rows are contiguous pays (fewer pages, no aliasing of cache sets).
constexpr int64_t kFewestRowsForPacking = 96;

// Numbers of k per block. A multiple of 256 would put the tiles of a in the same cache sets.
constexpr int64_t kDepth = 384;
constexpr int64_t kPackedDepth = 176;  // of a b that is packed block by block: its copy stays in L1
constexpr int64_t kDepthStep = 8;
constexpr int64_t kDotDepth = 1024;  // k per block of dots: a tile's rows of a and b stay in L1
// Rows of a packed at a time: of few, several blocks of k stay in L2; of many, a b that is packed is so less often.
constexpr int64_t kRowBlock = 256, kRowBlockByPackedB = 512;
constexpr int64_t kPassFloats = 272 * 1024;  // numbers of a packed at a time: they stay in L2

// Multiply-adds per parallel chunk: some 25 us. Of a product with few rows, reading b takes as long as this many rows.
constexpr int64_t kProductsPerChunk = int64_t{1} << 21;
constexpr int64_t kFewRows = 8;
// When there are fewer panels, their rows are divided among threads too.
constexpr int64_t kFewPanels = 16;
// Of a panel of bf16: up to this many tiles of rows read it as it is, and more read a copy in f32.
constexpr int64_t kMostTilesOfPairs = 2;
constexpr int64_t kFloatsPerPackingChunk = int64_t{1} << 15;

// Equal blocks of at most `most`, rather than full ones and a crumb.
int64_t even_block(int64_t total, int64_t most) { return divide_up(total, divide_up(total, most)); }

tersor_status multiply_by_dots(const GemmArguments& g, const GemmTiles& tiles) {
  const int64_t depth = even_block(g.k, kDotDepth);
  const int64_t grain = std::max<int64_t>(8, kProductsPerChunk / (std::max(g.m, kFewRows) * g.k) / 4 * 4);
  const bool finished = parallel_for(g.cancel, g.n, grain, [&](int64_t begin, int64_t end) {
    for (int64_t p = 0; p < g.k; p += depth) {
      tiles.multiply_dots(std::min(depth, g.k - p), g.a.data + p, g.a.row_stride,
                          g.b.data + begin * g.b.column_stride + p, g.b.column_stride, g.c + begin, g.n, g.m,
                          end - begin, g.accumulate || p > 0);
    }
    gemm_finish(g, 0, g.m, begin, end - begin);
  });
  return finished ? TERSOR_OK : TERSOR_CANCELLED;
}

// Some k of one panel of b.
struct Block {
  Panel panel;
  int64_t p, depth;
};

class PanelProduct {
 public:
  PanelProduct(const GemmArguments& arguments, const GemmTiles& tiles)
      : g_(arguments),
        tiles_(tiles),
        sequence_(arguments.n),
        numbers_per_word_(numbers_per_word(arguments.bf16_panels)),
        words_(divide_up(arguments.k, numbers_per_word_)),
        packs_a_(arguments.m > 1 || arguments.a.column_stride != 1),
        packs_b_(arguments.panels == nullptr &&
                 (arguments.b.column_stride != 1 || arguments.m >= kFewestRowsForPacking)),
        depth_(round_up(even_block(arguments.k, packs_b_ ? kPackedDepth : kDepth), kDepthStep)),
        row_block_(round_up(even_block(arguments.m, packs_b_ ? kRowBlockByPackedB : kRowBlock), tiles.tile_rows)),
        tile_stride_(depth_ * tiles.tile_rows + kTileSlack),
        pass_(std::max<int64_t>(1, kPassFloats / (row_block_ * depth_)) * depth_) {}

  tersor_status run() {
    const int64_t pass_blocks = divide_up(std::min(pass_, g_.k), depth_);
    if (packs_a_) {
      a_tiles_ = packing_scratch(row_block_ / tiles_.tile_rows * tile_stride_ * pass_blocks);
      if (a_tiles_ == nullptr) return TERSOR_OUT_OF_MEMORY;
    }
    for (int64_t p = 0; p < g_.k; p += pass_) {
      const int64_t pass = std::min(pass_, g_.k - p);
      for (int64_t row = 0; row < g_.m; row += row_block_) {
        const int64_t rows = std::min(row_block_, g_.m - row);
        if (packs_a_ && !pack_rows(row, rows, p, pass)) return TERSOR_CANCELLED;
        if (!multiply(row, rows, p, pass)) return TERSOR_CANCELLED;
      }
    }
    return TERSOR_OK;
  }

 private:
  // Block after block of k, and in a block tile after tile.
  bool pack_rows(int64_t row, int64_t rows, int64_t p, int64_t pass) const {
    const int64_t row_tiles = divide_up(rows, tiles_.tile_rows), blocks = divide_up(pass, depth_);
    const int64_t grain = std::max<int64_t>(1, kFloatsPerPackingChunk / tile_stride_);
    return parallel_for(g_.cancel, row_tiles * blocks, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t tile_row = i % row_tiles * tiles_.tile_rows, q = i / row_tiles * depth_;
        const float* source = g_.a.data + (row + tile_row) * g_.a.row_stride + (p + q) * g_.a.column_stride;
        tiles_.pack_rows(source, g_.a.row_stride, g_.a.column_stride,
                         static_cast<int>(std::min<int64_t>(tiles_.tile_rows, rows - tile_row)),
                         std::min(depth_, pass - q), a_tiles_ + i * tile_stride_);
      }
    });
  }

  // Each chunk is some panels of b, and their whole depth, by all rows or by a part of them.
  bool multiply(int64_t row, int64_t rows, int64_t p, int64_t pass) const {
    const int64_t panels = sequence_.count(), row_tiles = divide_up(rows, tiles_.tile_rows);
    const int64_t products = std::max(rows, kFewRows) * kPanelColumns * pass;
    const int64_t parts =
        panels >= kFewPanels ? 1 : std::clamp<int64_t>(products / kProductsPerChunk, 1, divide_up(kFewPanels, panels));
    const int64_t part_tiles = divide_up(row_tiles, parts), row_parts = divide_up(row_tiles, part_tiles);
    const int64_t grain = std::max<int64_t>(1, kProductsPerChunk * row_parts / products);
    return parallel_for(g_.cancel, panels * row_parts, grain, [&](int64_t begin, int64_t end) {
      if (rows == 1 && !packs_b_) {
        for (int64_t unit = begin; unit < end;) {
          // A tile has one stride, that of whole panels; those behind them are narrower.
          const bool two =
              unit + 1 < end && sequence_[unit + 1].width == kPanelColumns && tiles_.row_columns == 2 * kPanelColumns;
          multiply_row(row, p, pass, unit, two);
          unit += two ? 2 : 1;
        }
        return;
      }
      const auto block = [&](int64_t unit, int64_t q) {
        return Block{sequence_[unit / row_parts], p + q, std::min(depth_, pass - q)};
      };
      for (int64_t q = 0; q < pass; q += depth_) {
        for (int64_t unit = begin; unit < end; ++unit) {
          std::optional<Block> next;
          if (row_parts == 1) {
            if (unit + 1 < end) {
              next = block(unit + 1, q);
            } else if (q + depth_ < pass) {
              next = block(begin, q + depth_);
            } else if (unit + 1 < panels) {
              next = block(unit + 1, 0);
            }
          }
          const int64_t first_tile = unit % row_parts * part_tiles;
          multiply_block(row, rows, p, block(unit, q), first_tile, std::min(part_tiles, row_tiles - first_tile), next);
        }
      }
    });
  }

  // A block where b, or its packed copy, has it.
  const float* source(const Panel& panel, int64_t p) const {
    if (g_.panels == nullptr) return g_.b.data + p * g_.b.row_stride + panel.column * g_.b.column_stride;
    return g_.panels + panel.column * words_ + p / numbers_per_word_ * panel.width;
  }
  int64_t source_stride(const Panel& panel) const { return g_.panels == nullptr ? g_.b.row_stride : panel.width; }
  int64_t width_of(const Panel& panel) const { return std::min(panel.width, g_.n - panel.column); }

  // A single row by one panel, or by two side by side. Nothing but b to read, and that as one or two streams, which the
  // processor foresees by itself.
  void multiply_row(int64_t row, int64_t p, int64_t pass, int64_t unit, bool two) const {
    const Panel panel = sequence_[unit];
    const int64_t width = width_of(panel) + (two ? width_of(sequence_[unit + 1]) : 0);
    for (int64_t q = 0; q < pass; q += depth_) {
      const TileOperands operands = {
          .k = std::min(depth_, pass - q),
          .a = packs_a_ ? a_tiles_ + q / depth_ * tile_stride_ : g_.a.data + p + q,
          .a_stride = packs_a_ ? tiles_.tile_rows : 1,
          .b = source(panel, p + q),
          .b_stride = source_stride(panel),
          .next_panel = two ? source(sequence_[unit + 1], p + q) : nullptr,
          .c = g_.c + row * g_.n + panel.column,
          .c_stride = g_.n,
          .accumulate = g_.accumulate || p + q > 0,
          .fetch = {},
      };
      (g_.bf16_panels ? tiles_.multiply_bf16_row : tiles_.multiply_row)(operands, 1, static_cast<int>(width));
    }
    if (p + pass == g_.k) gemm_finish(g_, row, 1, panel.column, width);
  }

  // Tiles [first_tile, first_tile + tiles) of rows by one block of b, which stays in cache while they go by.
  void multiply_block(int64_t row, int64_t rows, int64_t pass_begin, const Block& block, int64_t first_tile,
                      int64_t tiles, const std::optional<Block>& next) const {
    const int64_t tile_rows = tiles_.tile_rows, row_tiles = divide_up(rows, tile_rows);
    const auto& [panel, p, depth] = block;
    const int64_t width = width_of(panel), a_block = (p - pass_begin) / depth_ * row_tiles;
    const float* b = source(panel, p);
    int64_t b_stride = source_stride(panel);
    alignas(64) float numbers[kPanelColumns * kDepth + kTileSlack];
    const bool widens = g_.bf16_panels && (tiles > kMostTilesOfPairs || tiles_.multiply_bf16_tile == nullptr);
    if (packs_b_) {
      tiles_.pack_columns[panel.width / kPanelStep - 1](b, g_.b.column_stride, g_.b.row_stride, static_cast<int>(width),
                                                        depth, numbers);
    } else if (widens) {
      tiles_.widen(b, divide_up(depth, 2), panel.width, numbers);
    }
    if (packs_b_ || widens) {
      b = numbers;
      b_stride = panel.width;
    }
    const auto multiply_tile = g_.bf16_panels && !widens ? tiles_.multiply_bf16_tile : tiles_.multiply_tile;
    for (int64_t j = 0; j < width; j += tiles_.tile_columns) {
      for (int64_t tile = first_tile; tile < first_tile + tiles; ++tile) {
        const int64_t i = row + tile * tile_rows, height = std::min(tile_rows, rows - tile * tile_rows);
        const TileOperands operands = {
            .k = depth,
            .a = packs_a_ ? a_tiles_ + (a_block + tile) * tile_stride_ : g_.a.data + p,
            .a_stride = packs_a_ ? tile_rows : 1,
            .b = b + j,
            .b_stride = b_stride,
            .next_panel = nullptr,
            .c = g_.c + i * g_.n + panel.column + j,
            .c_stride = g_.n,
            .accumulate = g_.accumulate || p > 0,
            .fetch = next && j == 0 ? share_of(*next, tile - first_tile, tiles, depth) : Fetch{},
        };
        const int64_t tile_width = std::min<int64_t>(tiles_.tile_columns, width - j);
        multiply_tile(operands, static_cast<int>(height), static_cast<int>(tile_width));
        if (p + depth == g_.k) gemm_finish(g_, i, height, panel.column + j, tile_width);
      }
    }
  }

  // What tile `i` of `tiles`, each of `depth` steps, asks for of the block that comes next.
  Fetch share_of(const Block& next, int64_t i, int64_t tiles, int64_t depth) const {
    const float* from = source(next.panel, next.p);
    if (g_.panels != nullptr) {
      const int64_t floats = next.panel.width * divide_up(next.depth, numbers_per_word_);
      const int64_t lines = divide_up(floats, kFloatsPerCacheLine * tiles);
      return fetch_lines(from + i * lines * kFloatsPerCacheLine, lines, depth / numbers_per_word_);
    }
    if (!packs_b_) return {};
    if (g_.b.column_stride == 1) {
      const int64_t steps = divide_up(next.depth, tiles), stride = g_.b.row_stride;
      const int64_t begin = std::min(i * steps, next.depth);
      return {from + begin * stride, stride, std::min(steps, next.depth - begin),
              static_cast<int>(next.panel.width / kPanelStep)};
    }
    const int64_t lines = divide_up(next.depth, kFloatsPerCacheLine);
    const int64_t each = std::min(kMostLinesPerStep, divide_up(lines, tiles));
    if (i * each >= lines) return {};
    return {from + i * each * kFloatsPerCacheLine, g_.b.column_stride, width_of(next.panel), static_cast<int>(each)};
  }

  const GemmArguments& g_;
  const GemmTiles& tiles_;
  const PanelSequence sequence_;
  const int64_t numbers_per_word_, words_;
  const bool packs_a_, packs_b_;
  const int64_t depth_, row_block_, tile_stride_, pass_;
  float* a_tiles_ = nullptr;
};

void write_empty_sums(const GemmArguments& g) {
  if (!g.accumulate) std::fill(g.c, g.c + g.m * g.n, 0.0f);
  gemm_finish(g, 0, g.m, 0, g.n);
}

}  // namespace

Fetch fetch_lines(const float* at, int64_t count, int64_t steps) {
  const int64_t lines = std::clamp<int64_t>(divide_up(count, std::max<int64_t>(1, steps)), 1, kMostLinesPerStep);
  return {at, lines * kFloatsPerCacheLine, divide_up(count, lines), static_cast<int>(lines)};
}

tersor_status gemm_blocked(const GemmArguments& g, const GemmTiles& tiles) {
  if (g.m == 0 || g.n == 0) return TERSOR_OK;
  if (g.k == 0) {
    write_empty_sums(g);
    return TERSOR_OK;
  }
  const bool along_k = g.panels == nullptr && g.a.column_stride == 1 && g.b.row_stride == 1;
  const bool straddling = g.k % kFloatsPerCacheLine != 0;
  if (along_k && g.m <= (straddling ? kMostRowsForStraddlingDots : kMostRowsForDots)) return multiply_by_dots(g, tiles);
  return PanelProduct(g, tiles).run();
}

}  // namespace tersor::cpu
