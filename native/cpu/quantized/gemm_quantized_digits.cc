#include "cpu/quantized/gemm_quantized_digits.h"

#include "cpu/parallel.h"
#include "cpu/scratch.h"

namespace tersor::cpu {
namespace {

// The digits of up to kPassRows rows of x, in one piece of scratch memory.
class SplitRows {
 public:
  SplitRows(const PackedMatrix& w, int64_t rows) : rows_(rows), blocks_(w.blocks()) {
    w.for_blocks([&](int64_t, int64_t, int64_t depth, int64_t) { padded_columns_ += padded_depth(depth); });
  }

  tersor_status allocate(tersor_context* context) {
    const int64_t digits = padded_columns_ * rows_ * kDigits, cells = blocks_ * rows_;
    void* memory = nullptr;
    const int64_t bytes = digits + cells * (kDigits + 1) * 4 + rows_;
    const tersor_status status = scratch(context, static_cast<size_t>(bytes), &memory);
    if (status != TERSOR_OK) return status;
    digits_ = static_cast<int8_t*>(memory);
    sums_ = reinterpret_cast<int32_t*>(digits_ + digits);
    scales_ = reinterpret_cast<float*>(sums_ + cells * kDigits);
    split_ = reinterpret_cast<uint8_t*>(scales_ + cells);
    return TERSOR_OK;
  }

  tersor_status fill(tersor_context* context, const QuantizedProduct& product, int64_t row, const DigitTiles& tiles) {
    const PackedMatrix& w = product.w;
    return for_chunks(context, rows_, row_grain(4 * w.columns), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i / kTokens * kTokens, together = std::min(kTokens, rows_ - first);
        int64_t padded_k = 0;
        bool good = true;
        w.for_blocks([&](int64_t block, int64_t k, int64_t depth, int64_t) {
          int8_t* tile = digits_ + padded_k * rows_ * kDigits + first * padded_depth(depth) * kDigits;
          good &=
              tiles.split(product.x + (row + i) * w.columns + k, depth, tile + (i - first) * kDigits * 4,
                          together * kDigits * 4, sums_ + (block * rows_ + i) * kDigits, scales_ + block * rows_ + i);
          padded_k += padded_depth(depth);
        });
        split_[i] = good ? 1 : 0;
      }
    });
  }

  DigitBlock block(int64_t number, int64_t padded_k) const {
    return {digits_ + padded_k * rows_ * kDigits, sums_ + number * rows_ * kDigits, scales_ + number * rows_};
  }

  // Sum over the block's k of x.
  float sum_of(int64_t block, int64_t i) const {
    const int32_t* digit = sums_ + (block * rows_ + i) * kDigits;
    const int64_t sum = digit[0] + digit[1] * int64_t{256} + digit[2] * int64_t{65536};
    return static_cast<float>(sum) * scales_[block * rows_ + i];
  }

  bool split(int64_t i) const { return split_[i] != 0; }

 private:
  int64_t rows_, blocks_, padded_columns_ = 0;
  int8_t* digits_ = nullptr;
  int32_t* sums_ = nullptr;
  float* scales_ = nullptr;
  uint8_t* split_ = nullptr;
};

void add_offsets(const SplitRows& x, int64_t rows, int64_t blocks, const float* offsets, float* sums) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t block = 0; block < blocks; ++block) {
      const float factor = x.sum_of(block, i);
      const float* offset = offsets + block * kTileColumns;
      for (int64_t j = 0; j < kTileColumns; ++j) sums[i * kTileColumns + j] += factor * offset[j];
    }
  }
}

}  // namespace

tersor_status gemm_quantized_digits(tersor_context* context, const QuantizedProduct& product, const DigitTiles& tiles,
                                    QuantizedKernel* fallback) {
  const PackedMatrix& w = product.w;
  const int64_t blocks = w.blocks();
  const int64_t codes_end = w.blocks_bytes();
  const int64_t tile_bytes = w.tile_bytes();
  for (int64_t row = 0; row < product.m; row += kPassRows) {
    const int64_t rows = std::min(kPassRows, product.m - row);
    SplitRows x(w, rows);
    tersor_status status = x.allocate(context);
    if (status == TERSOR_OK) status = x.fill(context, product, row, tiles);
    if (status != TERSOR_OK) return status;
    status = for_chunks(context, w.tiles(), tile_grain(product, rows), [&](int64_t begin, int64_t end) {
      alignas(64) float sums[kPassRows * kTileColumns];
      for (int64_t tile = begin; tile < end; ++tile) {
        const uint8_t* data = w.data + tile * tile_bytes;
        std::fill(sums, sums + rows * kTileColumns, 0.0f);
        int64_t padded_k = 0;
        w.for_blocks([&](int64_t block, int64_t, int64_t depth, int64_t offset) {
          tiles.multiply(w.plane_bits, data + offset, padded_depth(depth), x.block(block, padded_k), rows, sums);
          padded_k += padded_depth(depth);
        });
        if (w.has_offsets) add_offsets(x, rows, blocks, reinterpret_cast<const float*>(data + codes_end), sums);
        write_tile(product, tile, row, rows, sums);
      }
    });
    if (status != TERSOR_OK) return status;
    for (int64_t i = 0, end = 0; i < rows; i = end) {
      for (end = i + 1; end < rows && x.split(end) == x.split(i);) ++end;
      if (x.split(i)) continue;
      QuantizedProduct run = product;
      run.m = end - i;
      run.x += (row + i) * w.columns;
      run.y += (row + i) * w.rows;
      status = fallback(context, run);
      if (status != TERSOR_OK) return status;
    }
  }
  return TERSOR_OK;
}

}  // namespace tersor::cpu
