#include "cpu/gemm/gemm_int8.h"

#include "cpu/epilogue/epilogue.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

// Sums are made block by block in a buffer that stays in L1, then turned into f32 by one piece of baseline code: every
// ISA gives the same bits.
constexpr int64_t kBlockRows = 24, kBlockColumns = 64;
constexpr int64_t kDepth = 1024;  // k per block: the rows of x stay in L1 too
constexpr int64_t kProductsPerChunk = int64_t{1} << 21;

struct Int8Output {
  const tersor_int8_epilogue* epilogue;
  Epilogue after;
  float* y;

  void write(int64_t row, int64_t rows, int64_t column, int64_t block_columns, const int32_t* sums) const {
    const float* scales = data_of<const float>(epilogue->scales);
    const bool one_scale = elements_of(epilogue->scales) == 1;
    const auto* row_sums = data_of<const int32_t>(epilogue->row_sums) + column;
    int32_t zero_terms[kBlockColumns];
    float factors[kBlockColumns];
    for (int64_t j = 0; j < block_columns; ++j) {
      // Unsigned: row sums that do not belong to w give a wrong number, not undefined behaviour.
      zero_terms[j] =
          static_cast<int32_t>(static_cast<uint32_t>(epilogue->input_zero_point) * static_cast<uint32_t>(row_sums[j]));
      factors[j] = epilogue->input_scale * scales[one_scale ? 0 : column + j];
    }
    for (int64_t i = 0; i < rows; ++i) {
      const int32_t* sum = sums + i * kBlockColumns;
      float* out = y + (row + i) * after.columns + column;
      for (int64_t j = 0; j < block_columns; ++j) {
        const auto exact = static_cast<int32_t>(static_cast<uint32_t>(sum[j]) - static_cast<uint32_t>(zero_terms[j]));
        out[j] = static_cast<float>(exact) * factors[j];
      }
    }
    if (after.is_identity()) return;
    apply_epilogue(after, {row, rows, column, block_columns}, y + row * after.columns + column, after.columns, y);
  }
};

}  // namespace

const KernelList<Int8DotsKernel> gemm_int8_kernels("gemm_int8", {
#if TERSOR_X86
  {"int8_dots_avx512vnni", Isa::avx512_vnni, int8_dots_avx512vnni}, {"int8_dots_avx2", Isa::avx2, int8_dots_avx2},
#endif
      {"int8_dots_scalar", Isa::scalar, int8_dots_scalar},
});

tersor_status gemm_int8_with(Int8DotsKernel* dots, tersor_context* context, const tersor_tensor* x,
                             const tersor_tensor* w, const tersor_int8_epilogue* epilogue, const tersor_tensor* y) {
  const int64_t m = x->shape[0], k = x->shape[1], n = w->shape[0];
  if (k > kLongestInt8Sum) {
    return fail(context, TERSOR_INVALID_SHAPE,
                "expected at most %lld columns (sums are exact in 32 bits), got %lld, at gemm_int8",
                static_cast<long long>(kLongestInt8Sum), static_cast<long long>(k));
  }
  if (epilogue->input_zero_point < 0 || epilogue->input_zero_point > 255) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected an input zero point in 0..255, got %d, at gemm_int8",
                epilogue->input_zero_point);
  }
  if (m == 0 || n == 0) return TERSOR_OK;
  const Int8Output output = {epilogue, make_epilogue(&epilogue->after, n), data_of<float>(y)};
  const auto* codes = data_of<const uint8_t>(x);
  const auto* weights = data_of<const int8_t>(w);
  const int64_t row_blocks = (m + kBlockRows - 1) / kBlockRows, column_blocks = (n + kBlockColumns - 1) / kBlockColumns;
  const int64_t products = std::min(m, kBlockRows) * std::min(n, kBlockColumns) * std::max<int64_t>(k, 1);
  return for_chunks(context, row_blocks * column_blocks, kProductsPerChunk / products, [&](int64_t begin, int64_t end) {
    alignas(64) int32_t sums[kBlockRows * kBlockColumns];
    for (int64_t block = begin; block < end; ++block) {
      const int64_t row = block / column_blocks * kBlockRows, column = block % column_blocks * kBlockColumns;
      const int64_t rows = std::min(kBlockRows, m - row), columns = std::min(kBlockColumns, n - column);
      for (int64_t p = 0; p == 0 || p < k; p += kDepth) {
        dots(std::min(kDepth, k - p), codes + row * k + p, k, rows, weights + column * k + p, k, columns, sums,
             kBlockColumns, p > 0);
      }
      output.write(row, rows, column, columns, sums);
    }
  });
}

tersor_status gemm_int8(tersor_context* context, const tersor_tensor* x, const tersor_tensor* w,
                        const tersor_int8_epilogue* epilogue, const tersor_tensor* y) {
  return gemm_int8_with(gemm_int8_kernels.best(), context, x, w, epilogue, y);
}

}  // namespace tersor::cpu
