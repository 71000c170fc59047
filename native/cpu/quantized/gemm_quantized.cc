#include "cpu/quantized/gemm_quantized.h"

#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<QuantizedKernel> gemm_quantized_kernels("gemm_quantized", {
#if TERSOR_X86
  {"gemm_quantized_avx512vnni", Isa::avx512_vnni, gemm_quantized_avx512vnni},
      {"gemm_quantized_avx512", Isa::avx512, gemm_quantized_avx512},
      {"gemm_quantized_avx2vnni", Isa::avx2_vnni, gemm_quantized_avx2vnni},
      {"gemm_quantized_avx2", Isa::avx2, gemm_quantized_avx2},
#elif TERSOR_ARM
  {"gemm_quantized_neoni8mm", Isa::neon_i8mm, gemm_quantized_neoni8mm},
      {"gemm_quantized_neondotprod", Isa::neon_dotprod, gemm_quantized_neondotprod},
      {"gemm_quantized_neon", Isa::neon, gemm_quantized_neon},
#endif
      {"gemm_quantized_scalar", Isa::scalar, gemm_quantized_scalar},
});

int64_t tile_grain(const QuantizedProduct& product, int64_t rows) {
  constexpr int64_t kProductsPerChunk = int64_t{1} << 19;
  const int64_t products = std::max<int64_t>(1, rows * kTileColumns * product.w.columns);
  return std::max<int64_t>(1, kProductsPerChunk / products);
}

void write_tile(const QuantizedProduct& product, int64_t tile, int64_t row, int64_t rows, float* sums) {
  const int64_t column = tile * kTileColumns, columns = std::min(kTileColumns, product.w.rows - column);
  finish_sums(product.epilogue, {row, rows, column, columns}, sums, kTileColumns, product.y);
}

// A few rows of x with codes of a codebook.
static tersor_status gemm_codebook_float(tersor_context* context, const QuantizedProduct& product,
                                         const FloatTiles& tiles) {
  const PackedMatrix& w = product.w;
  return for_chunks(context, w.tiles(), tile_grain(product, product.m), [&](int64_t begin, int64_t end) {
    alignas(64) float sums[kPassRows * kTileColumns];
    for (int64_t tile = begin; tile < end; ++tile) {
      std::fill(sums, sums + product.m * kTileColumns, 0.0f);
      w.for_blocks([&](int64_t, int64_t k, int64_t depth, int64_t offset) {
        tiles.multiply_codebook(w.bits, w.tile(tile) + offset, w.header().values, depth, product.x + k, w.columns,
                                product.m, sums);
      });
      write_tile(product, tile, 0, product.m, sums);
    }
  });
}

tersor_status gemm_quantized_float(tersor_context* context, const QuantizedProduct& product, const FloatTiles& tiles) {
  if (product.w.has_codebook() && product.m <= tiles.codebook_rows) {
    return gemm_codebook_float(context, product, tiles);
  }
  constexpr int64_t kPanelDepth = 128;  // a panel of 16 KB; longer blocks have one of their own
  const PackedMatrix& w = product.w;
  const int64_t codes_end = w.blocks_bytes();
  for (int64_t row = 0; row < product.m; row += kPassRows) {
    const int64_t rows = std::min(kPassRows, product.m - row);
    const tersor_status status =
        for_chunks(context, w.tiles(), tile_grain(product, rows), [&](int64_t begin, int64_t end) {
          alignas(64) float panel[(kBlockDepth + kDepthStep) * kTileColumns];
          alignas(64) float sums[kPassRows * kTileColumns];
          for (int64_t tile = begin; tile < end; ++tile) {
            const uint8_t* blocks = w.tile(tile);
            const auto* offsets = w.has_offsets ? reinterpret_cast<const float*>(blocks + codes_end) : nullptr;
            std::fill(sums, sums + rows * kTileColumns, 0.0f);
            int64_t filled = 0, panel_k = 0;
            const auto multiply_panel = [&] {
              tiles.multiply(filled, product.x + row * w.columns + panel_k, w.columns, rows, panel, sums);
              panel_k += filled;
              filled = 0;
            };
            w.for_blocks([&](int64_t block, int64_t, int64_t depth, int64_t offset) {
              if (filled > 0 && filled + depth > kPanelDepth) multiply_panel();
              float* to = panel + filled * kTileColumns;
              if (w.has_codebook()) {
                tiles.expand_codebook(w.bits, blocks + offset, w.header().values, depth, to);
              } else {
                tiles.expand(w.bits, blocks + offset, offsets == nullptr ? nullptr : offsets + block * kTileColumns,
                             depth, to);
              }
              filled += depth;
            });
            if (filled > 0) multiply_panel();
            write_tile(product, tile, row, rows, sums);
          }
        });
    if (status != TERSOR_OK) return status;
  }
  return TERSOR_OK;
}

tersor_status gemm_quantized_with(QuantizedKernel* kernel, tersor_context* context, const tersor_tensor* x,
                                  tersor_input_precision precision, const tersor_quantized* w,
                                  const tersor_epilogue* epilogue, const tersor_tensor* y) {
  return multiply_quantized(kernel, context, x, precision, w, make_epilogue(epilogue, w->rows), y);
}

tersor_status multiply_quantized(QuantizedKernel* kernel, tersor_context* context, const tersor_tensor* x,
                                 tersor_input_precision precision, const tersor_quantized* w, const Epilogue& epilogue,
                                 const tersor_tensor* y) {
  const QuantizedProduct product = {
      .m = x->shape[0],
      .x = data_of<const float>(x),
      .digits = 3 - static_cast<int>(precision),
      .w = {data_of<const uint8_t>(&w->packed), w->rows, w->cols, w->bits, w->group_size, w->has_offsets != 0},
      .epilogue = epilogue,
      .y = data_of<float>(y),
  };
  if (product.m == 0 || w->rows == 0) return TERSOR_OK;
  return kernel(context, product);
}

tersor_status gemm_quantized(tersor_context* context, const tersor_tensor* x, tersor_input_precision precision,
                             const tersor_quantized* w, const tersor_epilogue* epilogue, const tersor_tensor* y) {
  return gemm_quantized_with(gemm_quantized_kernels.best(), context, x, precision, w, epilogue, y);
}

}  // namespace tersor::cpu
