#include "cpu/gemm/gemm_blocked.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "core/thread_pool.h"

namespace tersor::cpu {
namespace {

// Up to this many rows, tiles of dot products beat packing b; fewer when loads along k straddle cache lines.
constexpr int64_t kMostRowsForDots = 64, kMostRowsForStraddlingDots = 16;
constexpr int64_t kFloatsPerCacheLine = 16;
// From this many rows on, packing a b whose rows are contiguous pays (fewer pages, no aliasing of cache sets).
constexpr int64_t kFewestRowsForPacking = 96;

constexpr int64_t kDepth = 512;         // k per block: a panel of b stays in L2, one of a in L1
constexpr int64_t kDotDepth = 1024;     // k per block of dots: a tile's rows of a and b stay in L1
constexpr int64_t kRowBlock = 1024;     // rows of a packed at a time
constexpr int64_t kColumnBlock = 2016;  // columns of b packed at a time; a multiple of every tile_columns

// Multiply-adds per parallel chunk: some 20 us, twice what waking a thread costs.
constexpr int64_t kProductsPerChunk = int64_t{1} << 20;
constexpr int64_t kFloatsPerPackingChunk = int64_t{1} << 15;

constexpr int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }
constexpr int64_t divide_up(int64_t value, int64_t by) { return (value + by - 1) / by; }

// Memory for packed panels that a thread keeps between calls: small products must not pay for an allocation.
class Scratch {
 public:
  // Null when there is no memory. Earlier contents are lost.
  float* at_least(int64_t floats) {
    if (floats > floats_) {
      memory_.reset();
      floats_ = 0;
      const size_t bytes = static_cast<size_t>(round_up(floats * static_cast<int64_t>(sizeof(float)), 4096));
      memory_.reset(static_cast<float*>(std::aligned_alloc(64, bytes)));
      if (memory_ != nullptr) floats_ = floats;
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(float* memory) const { std::free(memory); }
  };
  std::unique_ptr<float, Free> memory_;
  int64_t floats_ = 0;
};

thread_local Scratch scratch;

// Equal blocks of at most `most`, rather than full ones and a crumb.
int64_t even_block(int64_t total, int64_t most) { return divide_up(total, divide_up(total, most)); }

tersor_status multiply_by_dots(const GemmArguments& g, const GemmTiles& tiles) {
  const int64_t depth = even_block(g.k, kDotDepth);
  const int64_t grain = std::max<int64_t>(8, kProductsPerChunk / (g.m * g.k) / 4 * 4);
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

// Packed panels of one operand, or the operand itself.
struct Panels {
  const float* data;
  int64_t panel_stride;  // from one panel to the next
  int64_t k_stride;      // from one k to the next inside a panel
};

class PanelProduct {
 public:
  PanelProduct(const GemmArguments& arguments, const GemmTiles& tiles)
      : g_(arguments),
        tiles_(tiles),
        depth_(even_block(arguments.k, kDepth)),
        row_block_(std::min(arguments.m, kRowBlock)),
        column_block_(std::min(arguments.n, kColumnBlock)),
        a_stride_(round_up(depth_ * tiles.tile_rows, 16) + kPanelSlack),
        b_stride_(depth_ * tiles.tile_columns + kPanelSlack),
        packs_b_(arguments.b.column_stride != 1 || arguments.m >= kFewestRowsForPacking) {}

  tersor_status run() {
    const int64_t a_floats = divide_up(row_block_, tiles_.tile_rows) * a_stride_;
    const int64_t b_floats = packs_b_ ? divide_up(column_block_, tiles_.tile_columns) * b_stride_ : 0;
    a_panels_ = scratch.at_least(a_floats + b_floats);
    if (a_panels_ == nullptr) return TERSOR_OUT_OF_MEMORY;
    b_panels_ = a_panels_ + a_floats;
    for (int64_t column = 0; column < g_.n; column += column_block_) {
      for (int64_t p = 0; p < g_.k; p += depth_) {
        if (!run_block(column, std::min(column_block_, g_.n - column), p, std::min(depth_, g_.k - p)))
          return TERSOR_CANCELLED;
      }
    }
    return TERSOR_OK;
  }

 private:
  bool run_block(int64_t column, int64_t columns, int64_t p, int64_t depth) {
    const float* b = g_.b.data + p * g_.b.row_stride + column * g_.b.column_stride;
    Panels b_panels = {b, tiles_.tile_columns, g_.b.row_stride};
    if (packs_b_) {
      b_panels = {b_panels_, b_stride_, tiles_.tile_columns};
      if (!pack(tiles_.pack_columns, tiles_.tile_columns, b, g_.b.column_stride, g_.b.row_stride, columns, depth,
                b_panels_, b_stride_))
        return false;
    }
    for (int64_t row = 0; row < g_.m; row += row_block_) {
      const int64_t rows = std::min(row_block_, g_.m - row);
      const float* a = g_.a.data + row * g_.a.row_stride + p * g_.a.column_stride;
      if (!pack(tiles_.pack_rows, tiles_.tile_rows, a, g_.a.row_stride, g_.a.column_stride, rows, depth, a_panels_,
                a_stride_))
        return false;
      if (!multiply(row, rows, column, columns, p, depth, b_panels)) return false;
    }
    return true;
  }

  bool pack(decltype(GemmTiles::pack_rows) pack_panel, int64_t width, const float* source, int64_t lane_stride,
            int64_t k_stride, int64_t lanes, int64_t depth, float* panels, int64_t panel_stride) const {
    const int64_t grain = std::max<int64_t>(1, kFloatsPerPackingChunk / (width * depth));
    return parallel_for(g_.cancel, divide_up(lanes, width), grain, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; ++panel) {
        const int64_t lane = panel * width;
        pack_panel(source + lane * lane_stride, lane_stride, k_stride, static_cast<int>(std::min(width, lanes - lane)),
                   depth, panels + panel * panel_stride);
      }
    });
  }

  // Tiles in the order panel of b, panel of a: the panel of b stays in cache while those of a go by.
  bool multiply(int64_t row, int64_t rows, int64_t column, int64_t columns, int64_t p, int64_t depth,
                const Panels& b) const {
    const int64_t tile_rows = tiles_.tile_rows, tile_columns = tiles_.tile_columns;
    const int64_t row_tiles = divide_up(rows, tile_rows), column_tiles = divide_up(columns, tile_columns);
    const int64_t grain = std::max<int64_t>(1, kProductsPerChunk / (tile_rows * tile_columns * depth));
    const bool accumulate = g_.accumulate || p > 0;
    const bool last = p + depth == g_.k;
    return parallel_for(g_.cancel, row_tiles * column_tiles, grain, [&](int64_t begin, int64_t end) {
      for (int64_t tile = begin; tile < end; ++tile) {
        const int64_t row_tile = tile % row_tiles, column_tile = tile / row_tiles;
        const int64_t i = row_tile * tile_rows, j = column_tile * tile_columns;
        const int64_t tile_height = std::min(tile_rows, rows - i), tile_width = std::min(tile_columns, columns - j);
        tiles_.multiply_panels(depth, a_panels_ + row_tile * a_stride_, b.data + column_tile * b.panel_stride,
                               b.k_stride, g_.c + (row + i) * g_.n + column + j, g_.n, static_cast<int>(tile_height),
                               static_cast<int>(tile_width), accumulate);
        if (last) gemm_finish(g_, row + i, tile_height, column + j, tile_width);
      }
    });
  }

  const GemmArguments& g_;
  const GemmTiles& tiles_;
  const int64_t depth_, row_block_, column_block_, a_stride_, b_stride_;
  const bool packs_b_;
  float* a_panels_ = nullptr;
  float* b_panels_ = nullptr;
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
  const bool along_k = g.a.column_stride == 1 && g.b.row_stride == 1;
  const bool straddling = g.k % kFloatsPerCacheLine != 0;
  if (along_k && g.m <= (straddling ? kMostRowsForStraddlingDots : kMostRowsForDots)) return multiply_by_dots(g, tiles);
  return PanelProduct(g, tiles).run();
}

}  // namespace tersor::cpu
