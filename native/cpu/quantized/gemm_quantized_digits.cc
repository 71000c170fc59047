#include "cpu/quantized/gemm_quantized_digits.h"

#include <cstring>

#include "cpu/parallel.h"
#include "cpu/scratch.h"

namespace tersor::cpu {
namespace {

constexpr int64_t kLine = 64;  // of the cache
constexpr int64_t kMostSpanBlocks = kBlockDepth / kDepthStep;
constexpr int64_t kMostWideBytes = kBlockDepth * kTileColumns + kMostSpanBlocks * kBlockHeader;

// How much larger codes of columns 16-31 are at the multiplier.
int32_t upper_factor(const PackedMatrix& w) { return w.bits == 8 || w.has_codebook() ? 1 : 1 << w.bits; }

// Whether sums of a digit times codes, less what the zero point takes back, may start from kFloatStart.
bool has_float_sums(const QuantizedProduct& product) {
  const PackedMatrix& w = product.w;
  const int32_t zero = w.shared_zero(), highest = w.bits == 8 || w.has_codebook() ? 255 : (1 << w.bits) - 1;
  if (product.digits != 1 || zero < 0 || w.blocks_together() > 1) return false;
  const int64_t depth = std::min({w.group_size, w.columns, kBlockDepth});
  return std::max(zero, highest - zero) * upper_factor(w) * depth * 127 <= kMostFloatSum;
}

// The nearest that times kFloatStartValue is a float.
float shortened(float scale) {
  int32_t bits;
  std::memcpy(&bits, &scale, sizeof bits);
  bits = (bits + 2) & ~3;
  std::memcpy(&scale, &bits, sizeof bits);
  return scale;
}

// Up to kPassRows rows of x in digits and the spans they are split by, in one piece of scratch memory.
class SplitRows {
 public:
  SplitRows(const QuantizedProduct& product, int64_t row, int64_t rows, const DigitKernels& kernels)
      : product_(product),
        kernels_(kernels),
        row_(row),
        rows_(rows),
        tile_rows_(kernels.tile_rows[product.digits - 1]),
        blocks_(product.w.blocks()),
        factor_(product.w.has_codebook() ? product.w.header().unit : 1.0f),
        upper_factor_(factor_ / static_cast<float>(upper_factor(product.w))),
        float_sums_(has_float_sums(product)) {
    product.w.for_spans([&](const Span& span) {
      ++spans_count_;
      padded_columns_ += span.padded;
    });
  }

  tersor_status allocate(tersor_context* context) {
    const int64_t cells = blocks_ * rows_, digits = padded_columns_ * rows_ * product_.digits;
    const int64_t sizes[] = {digits,
                             spans_count_ * int64_t{sizeof(Span)},
                             cells * product_.digits * 8,
                             spans_count_ * rows_ * int64_t{sizeof(RowScale)},
                             product_.w.has_offsets ? cells * 4 : 0,
                             rows_};
    int64_t bytes = 0, starts[6];
    for (int i = 0; i < 6; ++i) {
      starts[i] = bytes;
      bytes += (sizes[i] + 63) / 64 * 64;
    }
    void* memory = nullptr;
    const tersor_status status = scratch(context, static_cast<size_t>(bytes), &memory);
    if (status != TERSOR_OK) return status;
    auto* base = static_cast<uint8_t*>(memory);
    digits_ = reinterpret_cast<int8_t*>(base);
    spans_ = reinterpret_cast<Span*>(base + starts[1]);
    starts_ = reinterpret_cast<int32_t*>(base + starts[2]);
    scales_ = reinterpret_cast<RowScale*>(base + starts[3]);
    sums_ = reinterpret_cast<float*>(base + starts[4]);
    split_ = base + starts[5];
    Span* to = spans_;
    product_.w.for_spans([&](const Span& span) { *to++ = span; });
    return TERSOR_OK;
  }

  tersor_status fill(tersor_context* context) {
    const int64_t tiles = (rows_ + tile_rows_ - 1) / tile_rows_;
    return for_chunks(context, tiles, row_grain(8 * tile_rows_ * product_.w.columns), [&](int64_t begin, int64_t end) {
      for (int64_t tile = begin; tile < end; ++tile) fill_tile(tile * tile_rows_);
    });
  }

  int64_t spans() const { return spans_count_; }
  const Span& span(int64_t number) const { return spans_[number]; }
  int64_t tile_rows() const { return tile_rows_; }
  int64_t rows_from(int64_t first) const { return std::min(tile_rows_, rows_ - first); }

  SplitTile tile(int64_t number, int64_t first) const {
    const Span& at = spans_[number];
    const int8_t* digits = digits_of(at, first);
    const int32_t* starts = starts_of(at.block, first);
    // In general registers: computed as a pair, by vectors, they would wait for the products before.
    __asm__("" : "+r"(digits), "+r"(starts));
    return {digits, starts, rows_ * product_.digits * 2, scales_ + number * rows_ + first, float_sums_};
  }

  // Sum over the block's k of x; only of weights with offsets.
  float sum_of(int64_t block, int64_t i) const { return sums_[block * rows_ + i]; }

  bool split(int64_t i) const { return split_[i] != 0; }

 private:
  int8_t* digits_of(const Span& span, int64_t first) const {
    return digits_ + (span.padded_k * rows_ + first * span.padded) * product_.digits;
  }
  int32_t* starts_of(int64_t block, int64_t first) const {
    return starts_ + (block * rows_ + first) * product_.digits * 2;
  }

  void fill_tile(int64_t first) {
    const int64_t rows = rows_from(first);
    std::fill(split_ + first, split_ + first + rows, uint8_t{1});
    for (int64_t number = 0; number < spans_count_; ++number) {
      const Span& span = spans_[number];
      int32_t sums[kMostSpanBlocks * kMostTileDigits];
      float scales[kMostTileDigits];
      const float* x = product_.x + (row_ + first) * product_.w.columns + span.k;
      kernels_.split({x, product_.w.columns, rows}, span, product_.digits, digits_of(span, first), sums, scales,
                     split_ + first);
      place_sums(span, first, rows, sums, scales);
      RowScale* to = scales_ + number * rows_ + first;
      for (int64_t i = 0; i < rows; ++i) {
        for (int half = 0; half < 2; ++half) {
          const float exact = scales[i] * (half == 0 ? factor_ : upper_factor_);
          const float scale = float_sums_ ? shortened(exact) : exact;
          to[i].scale[half] = scale;
          to[i].excess[half] = float_sums_ ? -kFloatStartValue * scale : 0;
        }
      }
    }
  }

  void place_sums(const Span& span, int64_t first, int64_t rows, const int32_t* sums, const float* scales) {
    const int32_t start = float_sums_ ? kFloatStart : 0;
    const int digits = product_.digits;
    const int32_t zero = product_.w.shared_zero();
    const int32_t offset = kernels_.code_offset;
    const int32_t factor = zero < 0 ? 1 : offset - zero;
    const int32_t upper = zero < 0 ? 0 : offset - zero * upper_factor(product_.w);
    for (int64_t block = span.block; block < span.block + span.blocks; ++block, sums += rows * digits) {
      int32_t* starts = starts_of(block, first);
      for (int64_t j = 0; j < rows * digits; ++j) {
        starts[2 * j] = start + factor * sums[j];
        starts[2 * j + 1] = start + upper * sums[j];
      }
      if (!product_.w.has_offsets) continue;
      for (int64_t i = 0; i < rows; ++i) {
        int64_t sum = 0;
        for (int d = 0; d < digits; ++d) sum += sums[i * digits + d] * (int64_t{1} << (8 * d));
        sums_[block * rows_ + first + i] = static_cast<float>(sum) * scales[i];
      }
    }
  }

  const QuantizedProduct& product_;
  const DigitKernels& kernels_;
  int64_t row_, rows_, tile_rows_, blocks_, spans_count_ = 0, padded_columns_ = 0;
  float factor_, upper_factor_;  // of scales, by half of the columns
  bool float_sums_;
  int8_t* digits_ = nullptr;
  Span* spans_ = nullptr;
  int32_t* starts_ = nullptr;
  RowScale* scales_ = nullptr;
  float* sums_ = nullptr;
  uint8_t* split_ = nullptr;
};

void add_offsets(const SplitRows& x, int64_t first, int64_t rows, int64_t blocks, const float* offsets, float* sums) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t block = 0; block < blocks; ++block) {
      const float factor = x.sum_of(block, first + i);
      const float* offset = offsets + block * kTileColumns;
      for (int64_t j = 0; j < kTileColumns; ++j) sums[i * kTileColumns + j] += factor * offset[j];
    }
  }
}

// Fetches the lines of y that a tile of sums will be written to.
void prefetch_output(const float* y, int64_t stride, int64_t rows) {
  for (int64_t i = 0; i < rows; ++i) {
    __builtin_prefetch(y + i * stride, 1);
    __builtin_prefetch(y + i * stride + kTileColumns / 2, 1);
  }
}

// The next span's codes come while this one is multiplied: a burst would wait for memory.
Ahead next_codes(const PackedMatrix& w, const Span& span, const uint8_t* tile) {
  const int64_t bytes = span.padded * kTileColumns * w.bits / 8 + span.blocks * kBlockHeader;
  return {tile + span.offset + bytes, (bytes + kLine - 1) / kLine};
}

void multiply_tile(const QuantizedProduct& product, const DigitKernels& kernels, const SplitRows& x, int64_t tile,
                   int64_t row, int64_t rows, float* sums) {
  alignas(64) uint8_t wide[kMostWideBytes];
  const PackedMatrix& w = product.w;
  const uint8_t* data = w.tile(tile);
  const auto* offsets = w.has_offsets ? reinterpret_cast<const float*>(data + w.blocks_bytes()) : nullptr;
  const int64_t blocks = w.blocks();
  const DigitVariant variant = {.bits = w.bits,
                                .digits = product.digits,
                                .shared_zero = w.shared_zero() >= 0,
                                .codebook = w.has_codebook() ? w.header().bytes : nullptr};
  const bool packed = rows <= kernels.packed_rows[product.digits - 1] && w.bits != 8;
  for (int64_t number = 0; number < x.spans(); ++number) {
    const Span& span = x.span(number);
    const uint8_t* codes = data + span.offset;
    if (!packed && w.bits != 8) {
      kernels.widen(w.bits, span, codes, variant.codebook, wide);
      codes = wide;
    }
    const bool last = number + 1 == x.spans();
    Ahead ahead = packed ? Ahead{nullptr, 0} : next_codes(w, span, data);
    // Of the last span, a register tile at a time, which becomes part of y while it is in L1.
    const int64_t together = last ? x.tile_rows() : rows;
    for (int64_t first = 0; first < rows; first += together) {
      const int64_t count = std::min(together, rows - first);
      float* out = sums + first * kTileColumns;
      const TileSums to = {out, number == 0 ? kNoSums : out, number == 0 ? 0 : kTileColumns};
      if (last) prefetch_output(product.y + (row + first) * w.rows + tile * kTileColumns, w.rows, count);
      if (packed) {
        kernels.multiply_packed(variant, span, codes, x.tile(number, first), count, to);
      } else {
        kernels.multiply(variant, span, codes, x.tile(number, first), count, ahead, to);
      }
      if (!last) continue;
      ahead = {ahead.lines + span.padded / 4 * kLine, ahead.count - span.padded / 4};
      if (offsets != nullptr) add_offsets(x, first, count, blocks, offsets, out);
      write_tile(product, tile, row + first, count, out);
    }
  }
}

}  // namespace

tersor_status gemm_quantized_digits(tersor_context* context, const QuantizedProduct& product,
                                    const DigitKernels& kernels, QuantizedKernel* fallback) {
  const PackedMatrix& w = product.w;
  if (w.header().moderate_scales != 1 || w.columns == 0) return fallback(context, product);
  // More digits of x deserve more of a codebook than its values have as bytes.
  if (w.has_codebook() && product.digits > 1) return fallback(context, product);
  for (int64_t row = 0; row < product.m; row += kPassRows) {
    const int64_t rows = std::min(kPassRows, product.m - row);
    SplitRows x(product, row, rows, kernels);
    tersor_status status = x.allocate(context);
    if (status == TERSOR_OK) status = x.fill(context);
    if (status != TERSOR_OK) return status;
    status = for_chunks(context, w.tiles(), tile_grain(product, rows), [&](int64_t begin, int64_t end) {
      alignas(64) float sums[kPassRows * kTileColumns];
      for (int64_t tile = begin; tile < end; ++tile) multiply_tile(product, kernels, x, tile, row, rows, sums);
    });
    if (status != TERSOR_OK) return status;
    for (int64_t i = 0, end = 0; i < rows; i = end) {
      for (end = i + 1; end < rows && x.split(end) == x.split(i);) ++end;
      if (x.split(i)) continue;
      QuantizedProduct run = product;
      run.m = end - i;
      run.x += (row + i) * w.columns;
      run.y += (row + i) * w.rows;
      run.epilogue = product.epilogue.from_row(row + i);
      status = fallback(context, run);
      if (status != TERSOR_OK) return status;
    }
  }
  return TERSOR_OK;
}

}  // namespace tersor::cpu
