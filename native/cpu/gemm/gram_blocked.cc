#include "cpu/gemm/gram_blocked.h"

#include <algorithm>

#include "core/thread_pool.h"
#include "cpu/gemm/gemm_layout.h"
#include "cpu/gemm/gemm_scratch.h"

namespace tersor::cpu {
namespace {

// Rows of x per block: its panels, and the next block of x, stay in L2 for a thousand columns.
constexpr int64_t kDepth = 192;
constexpr int64_t kRowsPackedTogether = 4, kRowsPerPackingChunk = 32;

class GramProduct {
 public:
  GramProduct(const GramArguments& arguments, const GemmTiles& tiles)
      : g_(arguments),
        tiles_(tiles),
        sequence_(arguments.columns),
        block_(divide_up(arguments.rows, divide_up(arguments.rows, kDepth))) {}

  tersor_status run() {
    panels_ = packing_scratch(sequence_.padded_columns() * block_ + kTileSlack);
    if (panels_ == nullptr) return TERSOR_OUT_OF_MEMORY;
    for (int64_t t = 0; t < g_.rows; t += block_) {
      const int64_t depth = std::min(block_, g_.rows - t);
      const float* x = g_.x + t * g_.columns;
      if (!pack(x, depth)) return TERSOR_CANCELLED;
      const float* next = x + depth * g_.columns;
      const int64_t next_floats = std::min(block_, g_.rows - t - depth) * g_.columns;
      // The last panels have the most tiles: they come first, so that no thread is left alone with one.
      const int64_t count = sequence_.count();
      const bool finished = parallel_for(g_.cancel, count, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) multiply(count - 1 - i, g_.accumulate || t > 0, depth, next, next_floats);
      });
      if (!finished) return TERSOR_CANCELLED;
    }
    return TERSOR_OK;
  }

 private:
  // A few rows at a time, so that x is read in its own order.
  bool pack(const float* x, int64_t depth) const {
    return parallel_for(g_.cancel, depth, kRowsPerPackingChunk, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; t += kRowsPackedTogether) {
        for (int64_t i = 0; i < sequence_.count(); ++i) {
          const Panel panel = sequence_[i];
          tiles_.pack_columns[panel.width / kPanelStep - 1](
              x + t * g_.columns + panel.column, 1, g_.columns, static_cast<int>(width_of(panel)),
              std::min(kRowsPackedTogether, end - t), panels_ + panel.column * depth + t * panel.width);
        }
      }
    });
  }

  int64_t width_of(const Panel& panel) const { return std::min(panel.width, g_.columns - panel.column); }

  // The panel by its own columns and by those before it, which stand for rows of the result: as panels are k-major,
  // they serve as the left operand too. Meanwhile asks for this panel's share of the rows of x that are packed next.
  void multiply(int64_t index, bool accumulate, int64_t depth, const float* next, int64_t next_floats) const {
    const Panel panel = sequence_[index];
    const int64_t shares = sequence_.count() * (sequence_.count() + 1);
    const int64_t begin = next_floats * index * (index + 1) / shares;
    const int64_t end = next_floats * (index + 1) * (index + 2) / shares;
    const int64_t tiles = divide_up(panel.column + width_of(panel), tiles_.tile_rows);
    const int64_t lines = divide_up(end - begin, tiles * kFloatsPerCacheLine);
    next += begin;
    for (int64_t i = 0; i <= index; ++i) {
      const Panel rows = sequence_[i];
      for (int64_t row = 0; row < width_of(rows); row += tiles_.tile_rows) {
        // Columns whose whole vector is left of the diagonal are left out.
        const int64_t first = std::max<int64_t>(0, rows.column + row - panel.column) / kPanelStep * kPanelStep;
        for (int64_t j = first; j < width_of(panel); j += tiles_.tile_columns) {
          const TileOperands operands = {
              .k = depth,
              .a = panels_ + rows.column * depth + row,
              .a_stride = rows.width,
              .b = panels_ + panel.column * depth + j,
              .b_stride = panel.width,
              .next_panel = nullptr,
              .c = g_.h + (rows.column + row) * g_.columns + panel.column + j,
              .c_stride = g_.columns,
              .accumulate = accumulate,
              .fetch = j == first ? fetch_lines(next, lines, depth) : Fetch{},
          };
          tiles_.multiply_tile(operands, static_cast<int>(std::min<int64_t>(tiles_.tile_rows, width_of(rows) - row)),
                               static_cast<int>(std::min<int64_t>(tiles_.tile_columns, width_of(panel) - j)));
        }
        next += lines * kFloatsPerCacheLine;
      }
    }
  }

  const GramArguments& g_;
  const GemmTiles& tiles_;
  const PanelSequence sequence_;
  const int64_t block_;
  float* panels_ = nullptr;
};

}  // namespace

tersor_status gram_blocked(const GramArguments& g, const GemmTiles& tiles) {
  if (g.rows == 0 || g.columns == 0) return TERSOR_OK;
  return GramProduct(g, tiles).run();
}

}  // namespace tersor::cpu
