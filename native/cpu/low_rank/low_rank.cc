#include "cpu/low_rank/low_rank.h"

#include <algorithm>

#include "cpu/gemm/gemm.h"
#include "cpu/int8/gemm_int8.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/quantized/gemm_quantized.h"
#include "cpu/scratch.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

// Rows of x that meet all weights before the next ones do: they stay in L2 meanwhile.
constexpr int64_t kBlockRows = 256;
// Rows of x per unit of a product with a factor, kFactorDepth columns of which stay in L1 meanwhile.
constexpr int64_t kUnitRows = 48;
// Multiply-adds per parallel chunk: some 25 us. Of a product with few rows, reading the factor takes as long as
// kFewRows.
constexpr int64_t kProductsPerChunk = int64_t{1} << 21;
constexpr int64_t kFewRows = 8;

int64_t tiles_of(int64_t columns) { return (columns + kFactorColumns - 1) / kFactorColumns; }
int64_t padded(int64_t columns) { return tiles_of(columns) * kFactorColumns; }
int64_t factor_elements(int64_t columns, int64_t depth) { return padded(columns) * depth; }

int64_t unit_grain(int64_t rows, int64_t depth) {
  const int64_t products = std::max<int64_t>(1, std::max(std::min(rows, kUnitRows), kFewRows) * kFactorColumns * depth);
  return std::max<int64_t>(1, kProductsPerChunk / products);
}

// to[tile][p][j] = element (p, tile * kFactorColumns + j) of a factor, zero where it has no such column.
template <typename Element>
tersor_status pack_factor(tersor_context* context, int64_t columns, int64_t depth, float* to, Element&& element) {
  return for_chunks(context, tiles_of(columns), row_grain(kFactorColumns * depth), [&](int64_t begin, int64_t end) {
    float* out = to + begin * kFactorColumns * depth;
    for (int64_t tile = begin; tile < end; ++tile) {
      for (int64_t p = 0; p < depth; ++p) {
        for (int64_t j = tile * kFactorColumns; j < (tile + 1) * kFactorColumns; ++j) {
          *out++ = j < columns ? element(p, j) : 0.0f;
        }
      }
    }
  });
}

// Rows of x by a packed factor; body(first row, rows, column, columns, tile of the factor) over units of them.
template <typename Body>
tersor_status for_units(tersor_context* context, int64_t rows, int64_t columns, int64_t depth, const float* factor,
                        Body&& body) {
  const int64_t tiles = tiles_of(columns), blocks = (rows + kUnitRows - 1) / kUnitRows;
  return for_chunks(context, tiles * blocks, unit_grain(rows, depth), [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t row = unit / tiles * kUnitRows, tile = unit % tiles, column = tile * kFactorColumns;
      body(row, std::min(kUnitRows, rows - row), column, std::min(kFactorColumns, columns - column),
           factor + column * depth);
    }
  });
}

// One product, block of rows by block of rows.
class LowRankProduct {
 public:
  LowRankProduct(const LowRankKernels& kernels, tersor_context* context, const tersor_addend* addend,
                 const tersor_low_rank& w, const Epilogue& epilogue, const tersor_tensor* x, const tersor_tensor* y)
      : kernels_(kernels),
        context_(context),
        addend_(addend),
        w_(w),
        epilogue_(epilogue),
        x_(*x),
        y_(*y),
        right_(data_of<const float>(&w.packed)),
        left_(right_ + factor_elements(w.rank, w.cols)) {}

  tersor_status run() {
    const int64_t m = x_.shape[0];
    void* memory = nullptr;
    const int64_t floats = m == 1 ? padded(w_.rank) + padded(w_.rows) : std::min(m, kBlockRows) * w_.rank;
    const tersor_status status = operand_scratch(context_, static_cast<size_t>(floats) * sizeof(float), &memory);
    if (status != TERSOR_OK) return status;
    auto* reduced = static_cast<float*>(memory);
    return m == 1 ? run_row(reduced) : run_blocks(reduced);
  }

 private:
  // A row of the addend's product gets all of the other at once, as a term of rank 1.
  tersor_status run_row(float* reduced) const {
    float* expanded = reduced + padded(w_.rank);
    tersor_status status = multiply_row(w_.rank, w_.cols, data_of<const float>(&x_), right_, reduced);
    if (status == TERSOR_OK) status = multiply_row(w_.rows, w_.rank, reduced, left_, expanded);
    if (status != TERSOR_OK) return status;
    if (addend_ == nullptr) {
      apply_epilogue(epilogue_, {0, 1, 0, w_.rows}, expanded, w_.rows, data_of<float>(&y_));
      return TERSOR_OK;
    }
    static constexpr float kOne = 1;
    Epilogue epilogue = epilogue_;
    epilogue.low_rank = {&kernels_, &kOne, 1, expanded};
    return multiply(x_, epilogue, y_);
  }

  tersor_status multiply_row(int64_t columns, int64_t depth, const float* from, const float* factor, float* to) const {
    return for_chunks(context_, tiles_of(columns), unit_grain(1, depth), [&](int64_t begin, int64_t end) {
      kernels_.multiply_row(end - begin, depth, from, factor + begin * kFactorColumns * depth,
                            to + begin * kFactorColumns);
    });
  }

  tersor_status run_blocks(float* reduced) const {
    const int64_t m = x_.shape[0];
    for (int64_t row = 0; row < m; row += kBlockRows) {
      tersor_tensor x = x_, y = y_;
      x.shape[0] = y.shape[0] = std::min(kBlockRows, m - row);
      x.data = data_of<float>(&x_) + row * w_.cols;
      y.data = data_of<float>(&y_) + row * w_.rows;
      Epilogue epilogue = epilogue_.from_row(row);
      tersor_status status = reduce(x, reduced);
      if (status != TERSOR_OK) return status;
      if (addend_ == nullptr) {
        status = expand(x.shape[0], reduced, epilogue, data_of<float>(&y));
      } else {
        epilogue.low_rank = {&kernels_, reduced, w_.rank, left_};
        status = multiply(x, epilogue, y);
      }
      if (status != TERSOR_OK) return status;
    }
    return TERSOR_OK;
  }

  // reduced = x * right^T.
  tersor_status reduce(const tersor_tensor& x, float* reduced) const {
    const auto* from = data_of<const float>(&x);
    const int64_t depth = w_.cols, rank = w_.rank;
    return for_units(context_, x.shape[0], rank, depth, right_,
                     [&](int64_t row, int64_t rows, int64_t column, int64_t columns, const float* tile) {
                       for (int64_t p = 0; p == 0 || p < depth; p += kFactorDepth) {
                         kernels_.multiply(rows, columns, std::min(kFactorDepth, depth - p), from + row * depth + p,
                                           depth, tile + p * kFactorColumns, reduced + row * rank + column, rank,
                                           p > 0);
                       }
                     });
  }

  // y = epilogue(reduced * left^T).
  tersor_status expand(int64_t m, const float* reduced, const Epilogue& epilogue, float* y) const {
    const int64_t n = w_.rows, rank = w_.rank;
    return for_units(context_, m, n, rank, left_,
                     [&](int64_t row, int64_t rows, int64_t column, int64_t columns, const float* tile) {
                       const float* from = reduced + row * rank;
                       float* to = y + row * n + column;
                       if (epilogue.is_identity()) {
                         return kernels_.multiply(rows, columns, rank, from, rank, tile, to, n, false);
                       }
                       alignas(64) float sums[kUnitRows * kFactorColumns];
                       kernels_.multiply(rows, columns, rank, from, rank, tile, sums, kFactorColumns, false);
                       apply_epilogue(epilogue, {row, rows, column, columns}, sums, kFactorColumns, y);
                     });
  }

  // The other product, whose epilogue adds this one's.
  tersor_status multiply(const tersor_tensor& x, const Epilogue& epilogue, const tersor_tensor& y) const {
    if (addend_->dense != nullptr) return multiply_packed(context_, &x, addend_->dense, epilogue, &y);
    if (addend_->quantized != nullptr) {
      return multiply_quantized(gemm_quantized_kernels.best(), context_, &x, addend_->precision, addend_->quantized,
                                epilogue, &y);
    }
    return multiply_int8(gemm_int8_kernels.best(), context_, &x, addend_->int8, nullptr, addend_->scales, epilogue,
                         nullptr, &y);
  }

  const LowRankKernels& kernels_;
  tersor_context* const context_;
  const tersor_addend* const addend_;
  const tersor_low_rank& w_;
  const Epilogue& epilogue_;
  const tersor_tensor x_, y_;
  const float *const right_, *const left_;
};

}  // namespace

const KernelList<LowRankKernel> low_rank_kernels("low_rank", {
#if TERSOR_X86
  {"low_rank_avx512", Isa::avx512, low_rank_avx512}, {"low_rank_avx2", Isa::avx2, low_rank_avx2},
#elif TERSOR_ARM
  {"low_rank_neon", Isa::neon, low_rank_neon},
#endif
      {"low_rank_scalar", Isa::scalar, low_rank_scalar},
});

void LowRankTerm::add_to(int64_t row, int64_t rows, int64_t column, int64_t width, float* sums,
                         int64_t sums_stride) const {
  for (const int64_t end = column + width; column < end;) {
    const int64_t inside = column % kFactorColumns, columns = std::min(kFactorColumns - inside, end - column);
    kernels->multiply(rows, columns, rank, reduced + row * rank, rank, left + (column - inside) * rank + inside, sums,
                      sums_stride, true);
    column += columns;
    sums += columns;
  }
}

int64_t low_rank_elements(int64_t rows, int64_t cols, int64_t rank) {
  return factor_elements(rank, cols) + factor_elements(rows, rank);
}

tersor_status pack_low_rank(tersor_context* context, const tersor_tensor* left, const tersor_tensor* right,
                            const tersor_tensor* packed) {
  const int64_t rows = left->shape[0], rank = left->shape[1], cols = right->shape[1];
  const auto *l = data_of<const float>(left), *r = data_of<const float>(right);
  auto* to = data_of<float>(packed);
  const tersor_status status =
      pack_factor(context, rank, cols, to, [&](int64_t p, int64_t j) { return r[j * cols + p]; });
  if (status != TERSOR_OK) return status;
  return pack_factor(context, rows, rank, to + factor_elements(rank, cols),
                     [&](int64_t p, int64_t j) { return l[j * rank + p]; });
}

tersor_status low_rank_gemm_with(LowRankKernel* kernel, tersor_context* context, const tersor_tensor* x,
                                 const tersor_addend* addend, const tersor_low_rank* w, const tersor_epilogue* epilogue,
                                 const tersor_tensor* y) {
  if (x->shape[0] == 0 || w->rows == 0) return TERSOR_OK;
  const Epilogue end = make_epilogue(epilogue, w->rows);
  return LowRankProduct(kernel(), context, addend, *w, end, x, y).run();
}

tersor_status low_rank_gemm(tersor_context* context, const tersor_tensor* x, const tersor_addend* addend,
                            const tersor_low_rank* w, const tersor_epilogue* epilogue, const tersor_tensor* y) {
  return low_rank_gemm_with(low_rank_kernels.best(), context, x, addend, w, epilogue, y);
}

}  // namespace tersor::cpu
