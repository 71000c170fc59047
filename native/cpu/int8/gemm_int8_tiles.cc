#include <algorithm>
#include <bit>
#include <cstring>

#include "cpu/int8/expand_nm.h"
#include "cpu/int8/gemm_int8.h"
#include "cpu/int8/int8_rows.h"

namespace tersor::cpu {
namespace {

// Rows of a pass: their codes stay in the second cache while the weight goes by.
constexpr int64_t kPassRows = 256, kPassBytes = int64_t{1} << 20;
constexpr int64_t kMostTileRows = 16;
// How far ahead to prefetch when there is one panel of rows, and the weight is read as fast as memory gives it.
constexpr int64_t kAheadBytes = 3072;

int64_t pass_rows(int64_t m, int64_t columns, int64_t tile_rows) {
  const int64_t fitting = kPassBytes / std::max<int64_t>(columns, 1) / tile_rows * tile_rows;
  return std::min(m, std::clamp(fitting, tile_rows, kPassRows / tile_rows * tile_rows));
}

// Tiles per chunk: a power of two of chunks of at least some 10 us, so that two, four... threads have equal shares.
// A tile costs its products, or what 16 rows would cost, when that takes less long than to read it.
int64_t tile_grain(const PackedInt8& w, int64_t rows) {
  constexpr int64_t kProductsPerChunk = int64_t{1} << 22;
  const int64_t chunks = w.tiles() * kInt8Columns * w.columns * (rows + 16) / kProductsPerChunk;
  const auto rounded = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(std::max<int64_t>(chunks, 1))));
  return (w.tiles() + rounded - 1) / rounded;
}

// Rows of a pass from which on an N:M weight is expanded: what that costs is then less than to choose from x in every
// panel what meets the nonzeros.
constexpr int64_t kExpandRows = 25;

// Some rows of x times a tile of w, sums to results.
class TilePass {
 public:
  TilePass(const Int8Product& product, const Int8Tiles& tiles, const Int8Rows& x, int64_t row, int64_t rows)
      : product_(product),
        x_(x),
        row_(row),
        rows_(rows),
        chooses_(product.nm != nullptr && product.nm->mask_bytes() > 0 && tiles.multiply_nm != nullptr &&
                 rows < kExpandRows),
        panels_(chooses_ ? (rows + tiles.nm_rows - 1) / tiles.nm_rows : (rows + tiles.rows - 1) / tiles.rows),
        panel_rows_((rows + panels_ - 1) / panels_),
        zero_point_(product.x.zero_point - (tiles.signed_codes ? 128 : 0)),
        tiles_(tiles),
        expands_(product.nm != nullptr && !chooses_ &&
                 !(tiles.reads_int4 && product.nm->held == kInt8Depth && panels_ == 1)),
        bits_(product.nm != nullptr && !expands_ ? product.nm->bits : 8) {}

  void multiply(int64_t tile) {
    prepare(tile);
    const int64_t steps = product_.w.steps(), together = panel_steps(steps);
    for (int64_t step = 0; step == 0 || step < steps; step += together) {
      const int64_t count = std::min(together, steps - step);
      const int8_t *w, *next;
      bring(tile, step, count, w, next);
      for (int64_t number = 0; number < panels_; ++number) {
        const int64_t i = number * panel_rows_;
        Int8Panel panel{};
        panel.steps = count;
        panel.x = x_.codes(step * kInt8Depth, i);
        panel.x_stride = x_.stride();
        panel.rows = std::min(panel_rows_, rows_ - i);
        panel.w = w;
        panel.bits = bits_;
        set_start(tile, step, i, panel);
        set_ahead(number, next, panel);
        if (step + count < steps) {
          panel.sums = sums_ + i * kInt8Columns;
          multiply(panel);
        } else {
          finish(tile, i, panel);
        }
      }
    }
  }

 private:
  void multiply(const Int8Panel& panel) const {
    if (chooses_) return tiles_.multiply_nm(panel, product_.nm->held);
    tiles_.multiply(panel);
  }

  // Some steps of the weight as kernels read them, and what will be read after them.
  void bring(int64_t tile, int64_t step, int64_t count, const int8_t*& w, const int8_t*& next) {
    if (product_.nm == nullptr) {
      w = product_.w.step(tile, step);
      next = w + count * kInt8StepBytes;
      return;
    }
    const PackedNmInt8& nm = *product_.nm;
    const int64_t first = step / kNmInt8Steps, eights = (count + kNmInt8Steps - 1) / kNmInt8Steps;
    next = reinterpret_cast<const int8_t*>(nm.eight(tile, first + eights));
    if (!expands_) {
      w = reinterpret_cast<const int8_t*>(nm.eight(tile, first));
      return;
    }
    expand_nm_kernels.best()(nm.eight(tile, first), eights, nm.held, nm.bits, expanded_);
    w = expanded_;
  }

  const int32_t* row_sums(int64_t tile) const {
    return product_.nm == nullptr ? product_.w.row_sums(tile) : product_.nm->row_sums(tile);
  }

  // Everything that is the same for all rows.
  void prepare(int64_t tile) {
    const int64_t column = tile * kInt8Columns, columns = std::min(kInt8Columns, product_.w.rows - column);
    const int32_t* sums_of_rows = row_sums(tile);
    const auto zero = static_cast<uint32_t>(zero_point_);
    for (int64_t j = 0; j < kInt8Columns; ++j) {
      const float scale = j >= columns ? 0 : product_.scales[product_.one_scale ? 0 : column + j];
      factors_[j] = product_.x.dynamic ? scale : product_.x.scale * scale;
      // Unsigned: a weight whose sums are not its own gives wrong numbers, not undefined behaviour.
      start_[j] = static_cast<int32_t>(0u - zero * static_cast<uint32_t>(sums_of_rows[j]));
    }
  }

  void set_start(int64_t tile, int64_t step, int64_t i, Int8Panel& panel) const {
    if (step > 0) {
      panel.start = sums_ + i * kInt8Columns;
      panel.start_stride = kInt8Columns;
    } else if (product_.x.dynamic) {
      panel.start = row_sums(tile);
      panel.zero_points = x_.zero_points() + i;
    } else {
      panel.start = start_;
    }
  }

  // One panel of rows reads the weight once: prefetch what it comes to, unless its expansion does. Of more, each
  // fetches a part of the weight's next panel, while its own is in cache.
  void set_ahead(int64_t number, const int8_t* next, Int8Panel& panel) const {
    panel.ahead_lines = panels_ == 1 ? (expands_ ? 1 : static_cast<int>(bits_)) : panels_ < 8 ? 4 : 1;
    const int64_t part = panel.steps / 4 * 64 * panel.ahead_lines;
    const int64_t offset = std::min(number * part, panel.steps * kInt8StepBytes * bits_ / 8);
    panel.ahead = chooses_ || (panels_ == 1 && !expands_) ? panel.w + kAheadBytes : next + offset;
  }

  void finish(int64_t tile, int64_t i, Int8Panel& panel) {
    const int64_t column = tile * kInt8Columns, columns = std::min(kInt8Columns, product_.w.rows - column);
    const Epilogue& epilogue = product_.epilogue;
    panel.factors = factors_;
    panel.x_scales = product_.x.dynamic ? x_.scales() + i : nullptr;
    if (product_.y != nullptr && epilogue.is_identity() && columns == kInt8Columns) {
      panel.y = product_.y + (row_ + i) * product_.w.rows + column;
      panel.y_stride = product_.w.rows;
      return multiply(panel);
    }
    panel.y = results_;
    panel.y_stride = kInt8Columns;
    multiply(panel);
    const EpilogueTile place = {row_ + i, panel.rows, column, columns};
    if (product_.y != nullptr) return finish_sums(epilogue, place, results_, kInt8Columns, product_.y);
    epilogue_kernels.best()(epilogue, place, results_, kInt8Columns, results_, kInt8Columns);
    for (int64_t r = 0; r < panel.rows; ++r) {
      uint8_t* codes = product_.codes + (row_ + i + r) * product_.w.rows + column;
      encode_kernels.best()(product_.encoding, results_ + r * kInt8Columns, columns, codes);
    }
  }

  const Int8Product& product_;
  const Int8Rows& x_;
  const int64_t row_, rows_;
  const bool chooses_;  // and does not expand an N:M weight
  // As even as can be: a last panel of few rows would leave multipliers waiting.
  const int64_t panels_, panel_rows_;
  const int32_t zero_point_;
  const Int8Tiles& tiles_;
  // Steps into L1: the kernel does not read them as they are, or more than once.
  const bool expands_;
  const int64_t bits_;  // of a number that the kernel reads
  alignas(64) int32_t sums_[kPassRows * kInt8Columns];
  alignas(64) int32_t start_[kInt8Columns];
  alignas(64) float factors_[kInt8Columns];
  alignas(64) int8_t expanded_[kMostPanelSteps * kInt8StepBytes];
  alignas(64) float results_[kMostTileRows * kInt8Columns];
};

}  // namespace

tersor_status gemm_int8_tiles(tersor_context* context, const Int8Product& product, const Int8Tiles& tiles) {
  const PackedInt8& w = product.w;
  const int64_t together = pass_rows(product.m, w.columns, tiles.rows);
  Int8Rows x;
  tersor_status status =
      x.allocate(context, product.x, w.columns, together, panel_steps(w.steps()) * kInt8Depth, tiles.signed_codes);
  FirstPlace bad;
  for (int64_t row = 0; status == TERSOR_OK && row < product.m; row += together) {
    const int64_t rows = std::min(together, product.m - row);
    status = x.fill(context, row, rows, bad);
    if (status != TERSOR_OK || bad.found()) break;
    status = for_chunks(context, w.tiles(), tile_grain(w, rows), [&](int64_t begin, int64_t end) {
      TilePass pass(product, tiles, x, row, rows);
      for (int64_t tile = begin; tile < end; ++tile) pass.multiply(tile);
    });
  }
  if (status != TERSOR_OK || !bad.found()) return status;
  const int64_t at = bad.place();
  return fail(context, TERSOR_NOT_FINITE, "expected finite values, got %g, at x[%lld, %lld]",
              static_cast<double>(static_cast<const float*>(product.x.data)[at]),
              static_cast<long long>(at / w.columns), static_cast<long long>(at % w.columns));
}

}  // namespace tersor::cpu
