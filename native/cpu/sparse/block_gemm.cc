#include "cpu/sparse/block_gemm.h"

#include <algorithm>

#include "cpu/epilogue/epilogue.h"
#include "cpu/operations.h"
#include "cpu/own_copies.h"
#include "cpu/parallel.h"
#include "cpu/vector/transpose_four.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<BlockKernel> block_gemm_kernels("block_gemm", {
#if TERSOR_X86
  {"block_gemm_avx512", Isa::avx512, block_gemm_avx512}, {"block_gemm_avx2", Isa::avx2, block_gemm_avx2},
#elif TERSOR_ARM
  {"block_gemm_neon", Isa::neon, block_gemm_neon},
#endif
      {"block_gemm_scalar", Isa::scalar, block_gemm_scalar},
});

namespace {

constexpr int64_t kPassRows = 64;                 // of x at most that a thread lays out and multiplies at a time
constexpr int64_t kPassBytes = int64_t{1} << 20;  // of x, which every panel reads: they stay in L2
constexpr int64_t kStep = 128;  // columns of a panel's blocks that meet all of them before the next: 16 KB of weight
constexpr int64_t kProductsPerChunk = int64_t{1} << 19;
constexpr int64_t kReadingCost = 3;
constexpr int64_t kWord = sizeof(float);

// A tile of x as [column][8], zero where there is none.
void lay_out(const float* x, int64_t columns, int64_t rows, int64_t padded, float* to) {
  int64_t k = 0;
  if (rows == kBlockTokens) {
    for (; k + 4 <= columns; k += 4) {
      for (int64_t i = 0; i < kBlockTokens; i += 4) {
        transpose_four(x + i * columns + k, columns * kWord, to + k * kBlockTokens + i, kBlockTokens * kWord);
      }
    }
  }
  for (; k < columns; ++k) {
    for (int64_t i = 0; i < kBlockTokens; ++i) to[k * kBlockTokens + i] = i < rows ? x[i * columns + k] : 0.0f;
  }
  std::fill(to + columns * kBlockTokens, to + padded * kBlockTokens, 0.0f);
}

class BlockProduct {
 public:
  BlockProduct(BlockKernel* kernel, const tersor_tensor* x, const tersor_blocks* w, const tersor_epilogue* epilogue,
               const tersor_tensor* y)
      : kernel_(kernel),
        w_(w),
        m_(rows_of(x)),
        panels_(elements_of(&w->panel_offsets) - 1),
        padded_((w->cols + w->block_cols - 1) / w->block_cols * w->block_cols),
        x_(data_of<const float>(x)),
        y_(data_of<float>(y)),
        epilogue_(make_epilogue(epilogue, w->rows)) {}

  tersor_status run(tersor_context* context) const {
    if (m_ == 0 || panels_ == 0) return TERSOR_OK;
    const int64_t row_bytes = std::max<int64_t>(1, padded_) * static_cast<int64_t>(sizeof(float));
    const int64_t pass =
        std::clamp(kPassBytes / row_bytes / kBlockTokens, int64_t{4}, kPassRows / kBlockTokens) * kBlockTokens;
    const int64_t most = std::min(pass, (m_ + kBlockTokens - 1) / kBlockTokens * kBlockTokens);
    const OwnCopies copies(static_cast<size_t>(most * row_bytes));
    // Reading a weight takes as long as some products with it.
    const int64_t products = (most + kReadingCost) * elements_of(&w_->values) / panels_;
    const int64_t group = std::clamp<int64_t>(kProductsPerChunk / std::max<int64_t>(1, products), 1, panels_);
    const int64_t groups = (panels_ + group - 1) / group;
    const auto multiply_chunk = [&](int64_t chunk, int64_t) {
      const int64_t row = chunk / groups * pass, rows = std::min(pass, m_ - row), panel = chunk % groups * group;
      const auto* x = static_cast<const float*>(
          copies.get(row, [&](void* to) { lay_out_rows(row, rows, static_cast<float*>(to)); }));
      if (x == nullptr) return false;
      multiply(row, rows, x, panel, std::min(panels_, panel + group));
      return true;
    };
    return for_chunks_with_memory(context, (m_ + pass - 1) / pass * groups, 1, multiply_chunk, [&] {
      return fail(context, TERSOR_OUT_OF_MEMORY, "expected %lld bytes of working memory, got none",
                  static_cast<long long>(most * row_bytes));
    });
  }

 private:
  void lay_out_rows(int64_t row, int64_t rows, float* to) const {
    for (int64_t i = 0; i < rows; i += kBlockTokens) {
      lay_out(x_ + (row + i) * w_->cols, w_->cols, std::min(kBlockTokens, rows - i), padded_, to + i * padded_);
    }
  }

  void multiply(int64_t row, int64_t rows, const float* x, int64_t begin, int64_t end) const {
    alignas(64) float sums[kPassRows * kBlockLargestRows];
    for (int64_t panel = begin; panel < end; ++panel) {
      std::fill(sums, sums + rows * kBlockLargestRows, 0.0f);
      multiply_panel(panel, rows, x, sums);
      const int64_t column = panel * w_->block_rows;
      const EpilogueTile tile = {row, rows, column, std::min<int64_t>(w_->block_rows, w_->rows - column)};
      apply_epilogue(epilogue_, tile, sums, kBlockLargestRows, y_);
    }
  }

  void multiply_panel(int64_t panel, int64_t rows, const float* x, float* sums) const {
    const auto* offsets = data_of<const uint32_t>(&w_->panel_offsets) + panel;
    const int64_t step = kStep / w_->block_cols, size = int64_t{w_->block_rows} * w_->block_cols;
    for (int64_t b = offsets[0]; b < offsets[1]; b += step) {
      const BlockRun run = {.columns = data_of<const uint32_t>(&w_->columns) + b,
                            .values = data_of<const float>(&w_->values) + b * size,
                            .count = std::min<int64_t>(step, offsets[1] - b),
                            .block_rows = w_->block_rows,
                            .block_cols = w_->block_cols};
      for (int64_t i = 0; i < rows; i += kBlockTokens) {
        kernel_(run, x + i * padded_, std::min(kBlockTokens, rows - i), sums + i * kBlockLargestRows);
      }
    }
  }

  BlockKernel* kernel_;
  const tersor_blocks* w_;
  int64_t m_, panels_, padded_;  // padded_: columns in whole blocks
  const float* x_;
  float* y_;
  Epilogue epilogue_;
};

}  // namespace

tersor_status block_gemm_with(BlockKernel* kernel, tersor_context* context, const tersor_tensor* x,
                              const tersor_blocks* w, const tersor_epilogue* epilogue, const tersor_tensor* y) {
  if (const tersor_status status = check_blocks(context, w); status != TERSOR_OK) return status;
  return BlockProduct(kernel, x, w, epilogue, y).run(context);
}

tersor_status block_gemm(tersor_context* context, const tersor_tensor* x, const tersor_blocks* w,
                         const tersor_epilogue* epilogue, const tersor_tensor* y) {
  return block_gemm_with(block_gemm_kernels.best(), context, x, w, epilogue, y);
}

}  // namespace tersor::cpu
