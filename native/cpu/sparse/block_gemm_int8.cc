#include "cpu/sparse/block_gemm_int8.h"

#include <algorithm>
#include <bit>

#include "backend/fail.h"
#include "cpu/int8/int8_input.h"
#include "cpu/int8/int8_rows.h"
#include "cpu/operations.h"
#include "cpu/sparse/block_gemm.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<BlockInt8Kernel> block_gemm_int8_kernels("block_gemm_int8", {
#if TERSOR_X86
  {"block_gemm_int8_avx512vnni", Isa::avx512_vnni, block_gemm_int8_avx512vnni},
      {"block_gemm_int8_avx2vnni", Isa::avx2_vnni, block_gemm_int8_avx2vnni},
      {"block_gemm_int8_avx2", Isa::avx2, block_gemm_int8_avx2},
#elif TERSOR_ARM
  {"block_gemm_int8_neoni8mm", Isa::neon_i8mm, block_gemm_int8_neoni8mm},
      {"block_gemm_int8_neondotprod", Isa::neon_dotprod, block_gemm_int8_neondotprod},
#endif
      {"block_gemm_int8_scalar", Isa::scalar, block_gemm_int8_scalar},
});

namespace {

// Rows of a pass: their codes stay in the second cache while the weight goes by.
constexpr int64_t kPassRows = 256, kPassBytes = int64_t{1} << 20;
// Codes of rows that meet one panel before the next: a panel reads them in the order of its columns, which comes as
// fast from the second cache, and is itself read from there by the first tile of them alone.
constexpr int64_t kGroupBytes = int64_t{72} << 10;
// Values of the panels that meet all rows of a pass before others do: they stay in the second cache.
constexpr int64_t kRangeBytes = int64_t{1} << 19;
constexpr int64_t kRowsPerChunk = 32;  // at least: tiles of 10 or 11, which cost little more a row than 12
// How far ahead to prefetch when there is one tile of rows, and the weight is read as fast as memory gives it.
constexpr int64_t kAheadBytes = 3072;

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct Range {
  int64_t begin, end;
};

// The i-th of `parts` ranges of [0, count), as equal as can be.
Range part_of(int64_t count, int64_t i, int64_t parts) { return {count * i / parts, count * (i + 1) / parts}; }

class BlockInt8Run {
 public:
  BlockInt8Run(const BlockInt8Product& product, BlockInt8Tile* tile, bool signed_codes)
      : product_(product),
        w_(*product.w),
        multiply_tile_(tile),
        signed_codes_(signed_codes),
        panels_(elements_of(&w_.panel_offsets) - 1),
        bits_(w_.values.dtype == TERSOR_U8 ? 4 : 8),
        block_bytes_(w_.block_rows * kInt8Depth * bits_ / 8) {}

  tersor_status run(tersor_context* context) {
    const int64_t columns = std::max<int64_t>(1, divide_up(w_.cols, kInt8Depth)) * kInt8Depth;
    const int64_t pass = std::min(product_.m, std::clamp(kPassBytes / columns, kBlockInt8Rows, kPassRows));
    tersor_status status = x_.allocate(context, product_.x, w_.cols, pass, columns, signed_codes_);
    FirstPlace bad;
    for (int64_t row = 0; status == TERSOR_OK && row < product_.m; row += pass) {
      const int64_t rows = std::min(pass, product_.m - row);
      status = x_.fill(context, row, rows, bad);
      if (status != TERSOR_OK || bad.found()) break;
      status = multiply(context, row, rows);
    }
    if (status != TERSOR_OK || !bad.found()) return status;
    const int64_t at = bad.place();
    return fail(context, TERSOR_NOT_FINITE, "expected finite values, got %g, at x[%lld, %lld]",
                static_cast<double>(static_cast<const float*>(product_.x.data)[at]),
                static_cast<long long>(at / w_.cols), static_cast<long long>(at % w_.cols));
  }

 private:
  // `rows` rows of x from `row` on. Some rows by some panels are a chunk, of each a power of two, so that two, four...
  // threads have equal shares: up to four of some microseconds, more of some 20 us. A panel costs its products, or what
  // 16 rows would cost, when that takes less long than to read it.
  tersor_status multiply(tersor_context* context, int64_t row, int64_t rows) const {
    constexpr int64_t kFewestProducts = int64_t{3} << 19, kProductsPerChunk = int64_t{1} << 23;
    const auto power = [](int64_t count) {
      return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(std::max<int64_t>(count, 1))));
    };
    const int64_t bytes = elements_of(&w_.values), products = bytes * 8 / bits_ * (rows + 16);
    const int64_t chunks =
        power(std::max(std::min<int64_t>(4, products / kFewestProducts), products / kProductsPerChunk));
    const int64_t least = power(2 * bytes / kRangeBytes);
    const int64_t by_rows = power(std::min(chunks / least, rows / kRowsPerChunk));
    const int64_t by_panels = std::min(std::max(least, chunks / by_rows), panels_);
    return for_chunks(context, by_panels * by_rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t chunk = begin; chunk < end; ++chunk) {
        const Range some = part_of(rows, chunk % by_rows, by_rows);
        multiply_rows(row, some, part_of(panels_, chunk / by_rows, by_panels));
      }
    });
  }

  struct Work {
    alignas(64) int32_t start[kInt8Columns] = {};
    alignas(64) float factors[kInt8Columns] = {};
    alignas(64) float results[kBlockInt8Rows * kInt8Columns];
    BlockInt8Panel tile{};
  };

  // Rows of the pass that begins at `first_row`, by panels.
  void multiply_rows(int64_t first_row, Range rows, Range panels) const {
    // As even as can be: a last tile of few rows would leave multipliers waiting.
    const int64_t count = rows.end - rows.begin, tiles = divide_up(count, kBlockInt8Rows);
    const int64_t tile_rows = divide_up(count, tiles);
    const int64_t group = tile_rows * std::max<int64_t>(1, kGroupBytes / (tile_rows * x_.stride()));
    Work work;
    work.tile.block_rows = w_.block_rows;
    work.tile.bits = bits_;
    work.tile.x_stride = x_.stride();
    for (int64_t i = rows.begin; i < rows.end; i += group) {
      const Range some = {i, std::min(i + group, rows.end)};
      for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
        multiply_panel(panel, first_row, some, tile_rows, work);
      }
    }
  }

  void multiply_panel(int64_t panel, int64_t first_row, Range rows, int64_t tile_rows, Work& work) const {
    const auto* offsets = data_of<const uint32_t>(&w_.panel_offsets) + panel;
    const int64_t column = panel * w_.block_rows, columns = std::min<int64_t>(w_.block_rows, w_.rows - column);
    prepare(column, columns, work);
    BlockInt8Panel& tile = work.tile;
    tile.steps = offsets[1] - offsets[0];
    tile.columns = data_of<const uint32_t>(&w_.columns) + offsets[0];
    tile.w = data_of<const int8_t>(&w_.values) + offsets[0] * block_bytes_;
    // One tile reads the weight once: prefetch what it comes to. Of more, each fetches a part of the next panel.
    const int64_t tiles = divide_up(rows.end - rows.begin, tile_rows);
    const int64_t lines = std::max<int64_t>(1, block_bytes_ / 16 / tiles), part = tile.steps / 4 * 64 * lines;
    tile.ahead_lines = static_cast<int>(lines);
    tile.ahead = tile.w + (tiles == 1 ? kAheadBytes : tile.steps * block_bytes_);
    const bool direct = product_.epilogue.is_identity() && columns == kInt8Columns;
    tile.y = direct ? product_.y + (first_row + rows.begin) * w_.rows + column : work.results;
    tile.y_stride = direct ? w_.rows : kInt8Columns;
    for (int64_t i = rows.begin; i < rows.end; i += tile_rows) {
      tile.x = x_.codes(0, i);
      tile.rows = std::min(tile_rows, rows.end - i);
      tile.zero_points = product_.x.dynamic ? x_.zero_points() + i : nullptr;
      tile.x_scales = product_.x.dynamic ? x_.scales() + i : nullptr;
      multiply_tile_(tile);
      tile.ahead += part;
      if (direct) {
        tile.y += tile.rows * w_.rows;
      } else {
        const EpilogueTile place = {first_row + i, tile.rows, column, columns};
        apply_epilogue(product_.epilogue, place, work.results, kInt8Columns, product_.y);
      }
    }
  }

  // Everything that is the same for all rows.
  void prepare(int64_t column, int64_t columns, Work& work) const {
    const float input_scale = product_.x.dynamic ? 1 : product_.x.scale;
    for (int64_t j = 0; j < columns; ++j) {
      work.factors[j] = input_scale * product_.scales[product_.one_scale ? 0 : column + j];
    }
    // Unsigned: sums that are not the weight's give wrong numbers, not undefined behaviour.
    const uint32_t times =
        product_.x.dynamic ? 1 : 0u - static_cast<uint32_t>(product_.x.zero_point - (signed_codes_ ? 128 : 0));
    for (int64_t j = 0; j < columns; ++j) {
      work.start[j] = static_cast<int32_t>(times * static_cast<uint32_t>(product_.row_sums[column + j]));
    }
    work.tile.start = work.start;
    work.tile.factors = work.factors;
  }

  const BlockInt8Product& product_;
  const tersor_blocks& w_;
  BlockInt8Tile* const multiply_tile_;
  const bool signed_codes_;
  const int64_t panels_, bits_, block_bytes_;
  Int8Rows x_;
};

}  // namespace

tersor_status block_gemm_int8_tiled(tersor_context* context, const BlockInt8Product& product, BlockInt8Tile* tile,
                                    bool signed_codes) {
  return BlockInt8Run(product, tile, signed_codes).run(context);
}

tersor_status block_gemm_int8_with(BlockInt8Kernel* kernel, tersor_context* context, const tersor_tensor* x,
                                   const tersor_blocks* w, const tersor_int8_codes* input, const tersor_tensor* scales,
                                   const tersor_tensor* row_sums, const tersor_epilogue* epilogue,
                                   const tersor_tensor* y) {
  tersor_status status = check_int8_depth(context, w->cols, "block_gemm_int8");
  if (status == TERSOR_OK && input != nullptr)
    status = check_int8_codes(context, input, x->dtype, "input of block_gemm_int8");
  if (status == TERSOR_OK) status = check_blocks(context, w);
  if (status != TERSOR_OK || rows_of(x) == 0 || w->rows == 0) return status;
  const BlockInt8Product product = {.m = rows_of(x),
                                    .x = int8_input(x, input),
                                    .w = w,
                                    .row_sums = data_of<const int32_t>(row_sums),
                                    .scales = data_of<const float>(scales),
                                    .one_scale = elements_of(scales) == 1,
                                    .epilogue = make_epilogue(epilogue, w->rows),
                                    .y = data_of<float>(y)};
  return kernel(context, product);
}

tersor_status block_gemm_int8(tersor_context* context, const tersor_tensor* x, const tersor_blocks* w,
                              const tersor_int8_codes* input, const tersor_tensor* scales,
                              const tersor_tensor* row_sums, const tersor_epilogue* epilogue, const tersor_tensor* y) {
  return block_gemm_int8_with(block_gemm_int8_kernels.best(), context, x, w, input, scales, row_sums, epilogue, y);
}

}  // namespace tersor::cpu
