#include "cpu/gemm/gemm_blocked.h"

#include <algorithm>

#include "core/thread_pool.h"
#include "cpu/gemm/gemm_layout.h"
#include "cpu/gemm/gemm_scratch.h"

namespace tersor::cpu {
namespace {

// Up to this many rows, tiles of dot products beat packing b; fewer when loads along k straddle cache lines.
constexpr int64_t kMostRowsForDots = 64, kMostRowsForStraddlingDots = 16;
constexpr int64_t kFloatsPerCacheLine = 16;
// From this many rows on, packing a b whose rows are contiguous pays (fewer pages, no aliasing of cache sets).
constexpr int64_t kFewestRowsForPacking = 96;

// Numbers of k per block. A multiple of 256 would put the tiles of a in the same cache sets.
constexpr int64_t kDepth = 384;
constexpr int64_t kDepthStep = 8;
constexpr int64_t kDotDepth = 1024;          // k per block of dots: a tile's rows of a and b stay in L1
constexpr int64_t kRowBlock = 512;           // rows of a packed at a time
constexpr int64_t kPassFloats = 256 * 1024;  // numbers of a packed at a time: they stay in L2
constexpr int64_t kColumnBlock = 2016;       // columns of b packed at a time; a multiple of kPanelColumns

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

// Where b is: in panels over `words` words of k, or (row_stride > 0) as rows of the matrix itself.
struct PanelSource {
  const float* data;
  int64_t words, row_stride, numbers_per_word = 1;

  const float* at(const Panel& panel, int64_t p) const {
    if (row_stride > 0) return data + p * row_stride + panel.column;
    return data + panel.column * words + p / numbers_per_word * panel.width;
  }
  int64_t stride(const Panel& panel) const { return row_stride > 0 ? row_stride : panel.width; }
};

class PanelProduct {
 public:
  PanelProduct(const GemmArguments& arguments, const GemmTiles& tiles)
      : g_(arguments),
        tiles_(tiles),
        packs_a_(arguments.m > 1 || arguments.a.column_stride != 1),
        packs_b_(arguments.panels == nullptr &&
                 (arguments.b.column_stride != 1 || arguments.m >= kFewestRowsForPacking)),
        depth_(round_up(even_block(arguments.k, kDepth), kDepthStep)),
        row_block_(round_up(even_block(arguments.m, kRowBlock), tiles.tile_rows)),
        column_block_(arguments.panels != nullptr ? arguments.n : std::min(arguments.n, kColumnBlock)),
        tile_stride_(depth_ * tiles.tile_rows + kTileSlack),
        // Panels that are made for this call are as deep as one block, so that they stay in a cache.
        pass_(packs_b_ ? depth_ : std::max<int64_t>(1, kPassFloats / (row_block_ * depth_)) * depth_) {}

  tersor_status run() {
    const int64_t pass_blocks = divide_up(std::min(pass_, g_.k), depth_);
    const int64_t a_floats = packs_a_ ? row_block_ / tiles_.tile_rows * tile_stride_ * pass_blocks : 0;
    const int64_t b_floats = packs_b_ ? round_up(column_block_, kPanelStep) * depth_ + kTileSlack : 0;
    a_tiles_ = packing_scratch(a_floats + b_floats);
    if (a_tiles_ == nullptr && a_floats + b_floats > 0) return TERSOR_OUT_OF_MEMORY;
    float* b_panels = a_tiles_ + a_floats;
    for (int64_t column = 0; column < g_.n; column += column_block_) {
      const int64_t columns = std::min(column_block_, g_.n - column);
      for (int64_t p = 0; p < g_.k; p += pass_) {
        const int64_t pass = std::min(pass_, g_.k - p);
        const int64_t per_word = numbers_per_word(g_.bf16_panels);
        PanelSource b = {g_.panels, divide_up(g_.k, per_word), 0, per_word};
        if (packs_b_) {
          if (!pack_columns(column, columns, p, pass, b_panels)) return TERSOR_CANCELLED;
          b = {b_panels, pass, 0};
        } else if (g_.panels == nullptr) {
          b = {g_.b.data + p * g_.b.row_stride + column, 0, g_.b.row_stride};
        }
        for (int64_t row = 0; row < g_.m; row += row_block_) {
          const int64_t rows = std::min(row_block_, g_.m - row);
          if (packs_a_ && !pack_rows(row, rows, p, pass)) return TERSOR_CANCELLED;
          if (!multiply(row, rows, column, columns, p, pass, b)) return TERSOR_CANCELLED;
        }
      }
    }
    return TERSOR_OK;
  }

 private:
  bool pack_columns(int64_t column, int64_t columns, int64_t p, int64_t depth, float* panels) const {
    const PanelSequence sequence(columns);
    const float* source = g_.b.data + p * g_.b.row_stride + column * g_.b.column_stride;
    const int64_t grain = std::max<int64_t>(1, kFloatsPerPackingChunk / (kPanelColumns * depth));
    return parallel_for(g_.cancel, sequence.count(), grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Panel panel = sequence[i];
        tiles_.pack_columns[panel.width / kPanelStep - 1](
            source + panel.column * g_.b.column_stride, g_.b.column_stride, g_.b.row_stride,
            static_cast<int>(std::min(panel.width, columns - panel.column)), depth, panels + panel.column * depth);
      }
    });
  }

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
  bool multiply(int64_t row, int64_t rows, int64_t column, int64_t columns, int64_t p, int64_t pass,
                const PanelSource& b) const {
    const PanelSequence sequence(columns);
    const int64_t panels = sequence.count(), row_tiles = divide_up(rows, tiles_.tile_rows);
    const int64_t products = std::max(rows, kFewRows) * kPanelColumns * pass;
    const int64_t parts =
        panels >= kFewPanels ? 1 : std::clamp<int64_t>(products / kProductsPerChunk, 1, divide_up(kFewPanels, panels));
    const int64_t part_tiles = divide_up(row_tiles, parts), row_parts = divide_up(row_tiles, part_tiles);
    const int64_t grain = std::max<int64_t>(1, kProductsPerChunk * row_parts / products);
    return parallel_for(g_.cancel, panels * row_parts, grain, [&](int64_t begin, int64_t end) {
      const int64_t origin = g_.panels != nullptr ? p : 0;
      const auto multiply_unit = [&](int64_t unit, int64_t q, const float* next) {
        const int64_t first_tile = unit % row_parts * part_tiles;
        const Panel panel = sequence[unit / row_parts];
        multiply_panel(row, rows, column, columns, p, pass, q, b.at(panel, origin + q), b.stride(panel), panel,
                       first_tile, std::min(part_tiles, row_tiles - first_tile), next);
      };
      if (rows == 1) {
        for (int64_t unit = begin; unit < end;) {
          const bool two =
              unit + 1 < end && sequence[unit].width == kPanelColumns && tiles_.row_columns == 2 * kPanelColumns;
          multiply_row(row, column, columns, p, pass, origin, b, sequence, unit, two);
          unit += two ? 2 : 1;
        }
        return;
      }
      for (int64_t q = 0; q < pass; q += depth_) {
        for (int64_t unit = begin; unit < end; ++unit) {
          const float* next = nullptr;
          if (row_parts == 1 && b.row_stride == 0) {
            if (unit + 1 < end) {
              next = b.at(sequence[unit + 1], origin + q);
            } else if (q + depth_ < pass) {
              next = b.at(sequence[begin], origin + q + depth_);
            } else if (unit + 1 < panels) {
              next = b.at(sequence[unit + 1], origin);
            }
          }
          multiply_unit(unit, q, next);
        }
      }
    });
  }

  // A single row by one panel, or by two side by side. Nothing but b to read, and that as one or two streams, which the
  // processor foresees by itself.
  void multiply_row(int64_t row, int64_t column, int64_t columns, int64_t p, int64_t pass, int64_t origin,
                    const PanelSource& b, const PanelSequence& sequence, int64_t unit, bool two) const {
    const Panel panel = sequence[unit];
    const int64_t width = std::min(panel.width + (two ? sequence[unit + 1].width : 0), columns - panel.column);
    float* c = g_.c + row * g_.n + column + panel.column;
    for (int64_t q = 0; q < pass; q += depth_) {
      const TileOperands operands = {
          .k = std::min(depth_, pass - q),
          .a = packs_a_ ? a_tiles_ + q / depth_ * tile_stride_ : g_.a.data + p + q,
          .a_stride = packs_a_ ? tiles_.tile_rows : 1,
          .b = b.at(panel, origin + q),
          .b_stride = b.stride(panel),
          .next_panel = two ? b.at(sequence[unit + 1], origin + q) : nullptr,
          .c = c,
          .c_stride = g_.n,
          .accumulate = g_.accumulate || p + q > 0,
          .next = nullptr,
          .next_lines = 0,
      };
      (g_.bf16_panels ? tiles_.multiply_bf16_row : tiles_.multiply_row)(operands, 1, static_cast<int>(width));
    }
    if (p + pass == g_.k) gemm_finish(g_, row, 1, column + panel.column, width);
  }

  // Tiles [first_tile, first_tile + tiles) by one panel: the panel stays in cache while they go by.
  void multiply_panel(int64_t row, int64_t rows, int64_t column, int64_t columns, int64_t p, int64_t pass, int64_t q,
                      const float* b, int64_t b_stride, const Panel& panel, int64_t first_tile, int64_t tiles,
                      const float* next) const {
    const int64_t tile_rows = tiles_.tile_rows, row_tiles = divide_up(rows, tile_rows);
    const int64_t depth = std::min(depth_, pass - q), width = std::min(panel.width, columns - panel.column);
    const int64_t floats = panel.width * divide_up(depth, numbers_per_word(g_.bf16_panels));
    const int64_t lines = next == nullptr ? 0 : divide_up(floats, kFloatsPerCacheLine * tiles);
    const bool last = p + q + depth == g_.k;
    const bool widens = g_.bf16_panels && (tiles > kMostTilesOfPairs || tiles_.multiply_bf16_tile == nullptr);
    alignas(64) float numbers[kPanelColumns * kDepth];
    if (widens) {
      tiles_.widen(b, divide_up(depth, 2), panel.width, numbers);
      b = numbers;
    }
    const auto multiply_tile = g_.bf16_panels && !widens ? tiles_.multiply_bf16_tile : tiles_.multiply_tile;
    for (int64_t j = 0; j < width; j += tiles_.tile_columns) {
      for (int64_t tile = first_tile; tile < first_tile + tiles; ++tile) {
        const int64_t i = row + tile * tile_rows, height = std::min(tile_rows, rows - tile * tile_rows);
        const TileOperands operands = {
            .k = depth,
            .a = packs_a_ ? a_tiles_ + (q / depth_ * row_tiles + tile) * tile_stride_ : g_.a.data + p + q,
            .a_stride = packs_a_ ? tile_rows : 1,
            .b = b + j,
            .b_stride = b_stride,
            .next_panel = nullptr,
            .c = g_.c + i * g_.n + column + panel.column + j,
            .c_stride = g_.n,
            .accumulate = g_.accumulate || p + q > 0,
            .next = next + (tile - first_tile) * lines * kFloatsPerCacheLine,
            .next_lines = j == 0 ? lines : 0,
        };
        const int64_t tile_width = std::min<int64_t>(tiles_.tile_columns, width - j);
        multiply_tile(operands, static_cast<int>(height), static_cast<int>(tile_width));
        if (last) gemm_finish(g_, i, height, column + panel.column + j, tile_width);
      }
    }
  }

  const GemmArguments& g_;
  const GemmTiles& tiles_;
  const bool packs_a_, packs_b_;
  const int64_t depth_, row_block_, column_block_, tile_stride_, pass_;
  float* a_tiles_ = nullptr;
};

void write_empty_sums(const GemmArguments& g) {
  if (!g.accumulate) std::fill(g.c, g.c + g.m * g.n, 0.0f);
  gemm_finish(g, 0, g.m, 0, g.n);
}

}  // namespace

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
