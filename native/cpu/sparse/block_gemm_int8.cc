#include "cpu/sparse/block_gemm_int8.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "backend/fail.h"
#include "cpu/int8/int8_input.h"
#include "cpu/int8/int8_rows.h"
#include "cpu/operations.h"
#include "cpu/scratch.h"
#include "cpu/sparse/block_gemm.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<BlockInt8Kernel> block_gemm_int8_kernels("block_gemm_int8", {
#if TERSOR_X86
  {"block_gemm_int8_avx512vnni", Isa::avx512_vnni, block_gemm_int8_avx512vnni},
      {"block_gemm_int8_avx2vnni", Isa::avx2_vnni, block_gemm_int8_avx2vnni},
      {"block_gemm_int8_avx2", Isa::avx2, block_gemm_int8_avx2},
#endif
      {"block_gemm_int8_scalar", Isa::scalar, block_gemm_int8_scalar},
});

namespace {

constexpr int64_t kPassRows = 128;                // of x at most, whose sums of a panel stay in L1
constexpr int64_t kPassBytes = int64_t{1} << 20;  // of x, which every panel reads: they stay in L2
constexpr int64_t kStep = 128;                    // blocks of a panel that meet all rows before the next: 16 KB
constexpr int64_t kLayOutSteps = 128;             // of x that are coded and laid out at a time: they stay in L1
constexpr int64_t kStepBytes = kBlockInt8Tokens * kInt8Depth;
// How far ahead to prefetch when there is one tile of rows, and the weight is read as fast as memory gives it.
constexpr int64_t kAheadBytes = 3072;

// Coded rows of x as the kernels read them, a scale and a zero point with each.
struct LaidOut {
  uint8_t* codes;  // [tile][step][8][4]
  int64_t tile_bytes;
  float* scales;
  int32_t* zero_points;
};

class BlockInt8Run {
 public:
  BlockInt8Run(const BlockInt8Product& product, const BlockInt8Tiles& tiles)
      : product_(product),
        w_(*product.w),
        tiles_(tiles),
        panels_(elements_of(&w_.panel_offsets) - 1),
        tile_bytes_((w_.cols + 63) / 64 * 64 * kBlockInt8Tokens) {}

  tersor_status run(tersor_context* context) const {
    const int64_t fitting = kPassBytes / std::max<int64_t>(tile_bytes_, 1);
    const int64_t pass = std::clamp<int64_t>(fitting, 1, kPassRows / kBlockInt8Tokens) * kBlockInt8Tokens;
    const int64_t most = (std::min(pass, product_.m) + kBlockInt8Tokens - 1) / kBlockInt8Tokens;
    void* memory;
    tersor_status status = scratch(context, static_cast<size_t>(most * (tile_bytes_ + kBlockInt8Tokens * 8)), &memory);
    if (status != TERSOR_OK) return status;
    auto* codes = static_cast<uint8_t*>(memory);
    auto* scales = reinterpret_cast<float*>(codes + most * tile_bytes_);
    auto* zero_points = reinterpret_cast<int32_t*>(scales + most * kBlockInt8Tokens);
    const LaidOut x = {codes, tile_bytes_, scales, zero_points};
    FirstPlace bad;
    for (int64_t row = 0; row < product_.m && status == TERSOR_OK && !bad.found(); row += pass) {
      const int64_t rows = std::min(pass, product_.m - row);
      status = lay_out(context, row, rows, x, bad);
      if (status == TERSOR_OK && !bad.found()) status = multiply(context, row, rows, x);
    }
    if (status != TERSOR_OK || !bad.found()) return status;
    const int64_t at = bad.place();
    return fail(context, TERSOR_NOT_FINITE, "expected finite values, got %g, at x[%lld, %lld]",
                static_cast<double>(static_cast<const float*>(product_.x.data)[at]),
                static_cast<long long>(at / w_.cols), static_cast<long long>(at % w_.cols));
  }

 private:
  tersor_status lay_out(tersor_context* context, int64_t row, int64_t rows, const LaidOut& x, FirstPlace& bad) const {
    const int64_t count = (rows + kBlockInt8Tokens - 1) / kBlockInt8Tokens;
    return for_chunks(context, count, row_grain(kBlockInt8Tokens * w_.cols), [&](int64_t begin, int64_t end) {
      for (int64_t tile = begin; tile < end; ++tile) {
        lay_out_tile(row, tile * kBlockInt8Tokens, std::min(rows, (tile + 1) * kBlockInt8Tokens), x, bad);
      }
    });
  }

  // Rows [begin, end) of the pass that starts at `row`.
  void lay_out_tile(int64_t row, int64_t begin, int64_t end, const LaidOut& x, FirstPlace& bad) const {
    constexpr int64_t kColumns = kLayOutSteps * kInt8Depth;
    alignas(64) uint8_t part[kBlockInt8Tokens][kColumns] = {};
    const Int8Coder coder(product_.x, w_.cols);
    RowCodes codes[kBlockInt8Tokens];
    for (int64_t i = begin; i < end; ++i) {
      codes[i - begin] = coder.codes_of(row + i);
      x.scales[i] = codes[i - begin].scale;
      x.zero_points[i] = codes[i - begin].zero_point;
    }
    uint8_t* to = x.codes + begin / kBlockInt8Tokens * x.tile_bytes;
    for (int64_t column = 0; column < w_.cols; column += kColumns, to += kLayOutSteps * kStepBytes) {
      const int64_t columns = std::min(kColumns, w_.cols - column);
      for (int64_t i = begin; i < end; ++i) {
        uint8_t* line = part[i - begin];
        coder.code(codes[i - begin], row + i, column, columns, line, bad);
        std::memset(line + columns, 0, static_cast<size_t>(-columns & (kInt8Depth - 1)));  // the rest of a block
      }
      tiles_.lay_out(part[0], kColumns, (columns + kInt8Depth - 1) / kInt8Depth, to);
    }
  }

  // Panels per chunk: a power of two of chunks of at least some 10 us, so that two, four... threads have equal shares.
  // A panel costs its products, or what 16 rows would cost, when that takes less long than to read it.
  int64_t grain(int64_t rows) const {
    constexpr int64_t kProductsPerChunk = int64_t{1} << 22;
    const int64_t chunks = elements_of(&w_.values) * (rows + 16) / kProductsPerChunk;
    const auto rounded = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(std::max<int64_t>(chunks, 1))));
    return (panels_ + rounded - 1) / rounded;
  }

  tersor_status multiply(tersor_context* context, int64_t row, int64_t rows, const LaidOut& x) const {
    return for_chunks(context, panels_, grain(rows), [&](int64_t begin, int64_t end) {
      Work work;
      for (int64_t panel = begin; panel < end; ++panel) multiply_panel(panel, row, rows, x, work);
    });
  }

  struct Work {
    alignas(64) int32_t sums[kPassRows * kInt8Columns];
    alignas(64) int32_t start[kInt8Columns];
    alignas(64) float factors[kInt8Columns];
    alignas(64) float results[kBlockInt8Tokens * kInt8Columns];
  };

  void multiply_panel(int64_t panel, int64_t row, int64_t rows, const LaidOut& x, Work& work) const {
    prepare(panel, work);
    const auto* offsets = data_of<const uint32_t>(&w_.panel_offsets) + panel;
    const int64_t block_bytes = w_.block_rows * kInt8Depth;
    // One tile reads the weight once: prefetch what it comes to. Of more, each fetches a part of the next blocks.
    const int64_t count = (rows + kBlockInt8Tokens - 1) / kBlockInt8Tokens, lines = std::max<int64_t>(1, 8 / count);
    for (int64_t b = offsets[0]; b == offsets[0] || b < offsets[1]; b += kStep) {
      BlockInt8Panel tile{};
      tile.steps = std::min<int64_t>(kStep, offsets[1] - b);
      tile.columns = data_of<const uint32_t>(&w_.columns) + b;
      tile.w = data_of<const int8_t>(&w_.values) + b * block_bytes;
      tile.block_rows = w_.block_rows;
      tile.ahead_lines = static_cast<int>(lines);
      for (int64_t i = 0; i < rows; i += kBlockInt8Tokens) {
        tile.x = x.codes + i / kBlockInt8Tokens * x.tile_bytes;
        tile.rows = std::min(kBlockInt8Tokens, rows - i);
        const int64_t share = std::min(i / kBlockInt8Tokens * (tile.steps / 4 * 64 * lines), tile.steps * block_bytes);
        tile.ahead = tile.w + (count == 1 ? kAheadBytes : tile.steps * block_bytes + share);
        start(b == offsets[0], i, x, work, tile);
        if (b + tile.steps < offsets[1]) {
          tile.sums = work.sums + i * kInt8Columns;
          tiles_.multiply(tile);
        } else {
          finish(panel, row, i, x, work, tile);
        }
      }
    }
  }

  // Everything that is the same for all rows.
  void prepare(int64_t panel, Work& work) const {
    const int64_t column = panel * w_.block_rows, columns = std::min<int64_t>(w_.block_rows, w_.rows - column);
    if (columns < kInt8Columns) {
      std::fill_n(work.start, kInt8Columns, 0);
      std::fill_n(work.factors, kInt8Columns, 0.0f);
    }
    const float input_scale = product_.x.dynamic ? 1 : product_.x.scale;
    if (product_.one_scale) {
      std::fill_n(work.factors, columns, input_scale * product_.scales[0]);
    } else {
      for (int64_t j = 0; j < columns; ++j) work.factors[j] = input_scale * product_.scales[column + j];
    }
    // Unsigned: sums that are not the weight's give wrong numbers, not undefined behaviour.
    const uint32_t times = product_.x.dynamic ? 1 : 0u - static_cast<uint32_t>(product_.x.zero_point);
    for (int64_t j = 0; j < columns; ++j) {
      work.start[j] = static_cast<int32_t>(times * static_cast<uint32_t>(product_.row_sums[column + j]));
    }
  }

  void start(bool first, int64_t i, const LaidOut& x, const Work& work, BlockInt8Panel& tile) const {
    tile.start = first ? work.start : work.sums + i * kInt8Columns;
    tile.start_stride = first ? 0 : kInt8Columns;
    tile.zero_points = first && product_.x.dynamic ? x.zero_points + i : nullptr;
  }

  void finish(int64_t panel, int64_t row, int64_t i, const LaidOut& x, Work& work, BlockInt8Panel& tile) const {
    const int64_t column = panel * w_.block_rows, columns = std::min<int64_t>(w_.block_rows, w_.rows - column);
    tile.sums = nullptr;
    tile.factors = work.factors;
    tile.x_scales = product_.x.dynamic ? x.scales + i : nullptr;
    const bool direct = product_.epilogue.is_identity() && columns == kInt8Columns;
    tile.y = direct ? product_.y + (row + i) * w_.rows + column : work.results;
    tile.y_stride = direct ? w_.rows : kInt8Columns;
    tiles_.multiply(tile);
    if (direct) return;
    apply_epilogue(product_.epilogue, {row + i, tile.rows, column, columns}, work.results, kInt8Columns, product_.y);
  }

  const BlockInt8Product& product_;
  const tersor_blocks& w_;
  const BlockInt8Tiles& tiles_;
  const int64_t panels_, tile_bytes_;
};

}  // namespace

tersor_status block_gemm_int8_tiled(tersor_context* context, const BlockInt8Product& product,
                                    const BlockInt8Tiles& tiles) {
  return BlockInt8Run(product, tiles).run(context);
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
