// The part of the fast dense products that is the same on every vector ISA: blocking for caches, packing, threads.
//
// Two ways, chosen by shape alone:
//  - dots: both operands lie along k and there are few rows, so tiles of dot products read them where they are;
//  - panels (Goto & van de Geijn 2008): a is packed into tiles of `tile_rows` rows and b into panels (gemm_layout.h),
//    both k-major. A weight is packed beforehand, another b block by block, each by the thread that needs it next; it
//    stays where it is when its rows already are contiguous and too few rows of a would repay the copy.
#pragma once

#include <cstdint>

#include "cpu/gemm/gemm.h"

namespace tersor::cpu {

inline constexpr int64_t kFloatsPerCacheLine = 16, kMostLinesPerStep = 3;

// Cache lines that a tile asks for meanwhile, as they are read next: `lines` side by side at each of the first `steps`
// steps of its k, which lie `stride` floats apart.
struct Fetch {
  const float* at = nullptr;
  int64_t stride = 0, steps = 0;
  int lines = 1;  // to kMostLinesPerStep
};

// Of `count` lines that follow each other, by a tile of so many steps.
Fetch fetch_lines(const float* at, int64_t count, int64_t steps);

// c[i][j] = (accumulate ? c : 0) + sum_p a[p * a_stride + i] * b[p * b_stride + j]; of bf16, b_stride takes two p.
struct TileOperands {
  int64_t k;
  const float* a;
  int64_t a_stride;
  const float* b;
  int64_t b_stride;
  const float* next_panel;  // b of columns from kPanelColumns on; read only by tiles that are wider than a panel
  float* c;
  int64_t c_stride;
  bool accumulate;
  Fetch fetch;
};

// Packs lanes side by side, k outside: number p of lane l at panel[p * width + l], zero for lanes <= l < width; one of
// the strides is 1. May write up to kTileSlack numbers past the panel.
using PackTile = void(const float* source, int64_t lane_stride, int64_t k_stride, int lanes, int64_t k, float* panel);

inline constexpr int64_t kTileSlack = 16;

// What a vector ISA brings.
struct GemmTiles {
  int tile_rows, tile_columns;  // of one register tile; panels are a multiple of tile_columns wide or narrower

  void (*multiply_tile)(const TileOperands&, int rows, int columns);
  void (*multiply_bf16_tile)(const TileOperands&, int rows, int columns);  // null: panels are widened first
  // Of a single row, by up to 96 columns: as many sums at a time as cover the latency of an addition.
  void (*multiply_row)(const TileOperands&, int rows, int columns);
  void (*multiply_bf16_row)(const TileOperands&, int rows, int columns);
  int row_columns;  // 48 or 96
  // Of `words` words of bf16 a column, `width` columns side by side: numbers [2 * words][width].
  void (*widen)(const float* pairs, int64_t words, int64_t width, float* numbers);
  PackTile* pack_rows;        // width tile_rows
  PackTile* pack_columns[3];  // width 16, 32, 48

  // c[i][j] = (accumulate ? c : 0) + sum_p a[i * lda + p] * b[j * ldb + p] for any rows and columns.
  void (*multiply_dots)(int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc,
                        int64_t rows, int64_t columns, bool accumulate);
};

tersor_status gemm_blocked(const GemmArguments& arguments, const GemmTiles& tiles);

}  // namespace tersor::cpu
