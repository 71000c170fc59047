#include "cpu/linalg/cholesky.h"

#include <algorithm>

#include "cpu/parallel.h"
#include "cpu/scratch.h"

namespace tersor::cpu {

const KernelList<CholeskyKernel> cholesky_kernels("cholesky", {
#if TERSOR_X86
  {"cholesky_avx512", Isa::avx512, cholesky_avx512}, {"cholesky_avx2", Isa::avx2, cholesky_avx2},
#elif TERSOR_ARM
  {"cholesky_neon", Isa::neon, cholesky_neon},
#endif
      {"cholesky_scalar", Isa::scalar, cholesky_scalar},
});

tersor_status Cholesky::allocate(tersor_context* context, int64_t n) {
  n_ = n;
  const int64_t tiles = (n + kernels_.lanes - 1) / kernels_.lanes;
  return tiles_.allocate(context, tiles * (tiles + 1) / 2 * kernels_.lanes * kernels_.lanes);
}

tersor_status Cholesky::factor(tersor_context* context, int64_t* failed) {
  *failed = -1;
  const int64_t lanes = kernels_.lanes, tiles = (n_ + lanes - 1) / lanes, padded = tiles * lanes;
  // Rows past the end are those of the identity; so are the parts of diagonal tiles above the diagonal, which are read.
  for (int64_t row = n_; row < padded; ++row) {
    for (int64_t column = 0; column < padded; ++column) at(row, column) = row == column ? 1 : 0;
  }
  for (int64_t first = 0; first < padded; first += lanes) {
    for (int64_t column = first; column < first + lanes; ++column) {
      for (int64_t row = first; row < column; ++row) at(row, column) = 0;
    }
  }
  for (int64_t begin = 0; begin < padded; begin += kernels_.block) {
    const int64_t end = std::min(begin + kernels_.block, padded);
    for (int64_t tile = begin / lanes; tile < end / lanes; ++tile) {
      *failed = kernels_.factor_tile(tiles_.data(), tile_at(tile), tile, begin, end);
      if (*failed >= 0) return TERSOR_OK;
    }
    // Some 20 us each.
    constexpr int64_t kProductsPerChunk = int64_t{1} << 19;
    const int64_t grain = std::max<int64_t>(1, kProductsPerChunk / ((begin + kernels_.block) * lanes * kernels_.block));
    const tersor_status status =
        for_chunks(context, tiles - end / lanes, grain, [&](int64_t chunk_begin, int64_t chunk_end) {
          for (int64_t i = chunk_begin; i < chunk_end; ++i) {
            kernels_.factor_tile(tiles_.data(), tile_at(end / lanes + i), end / lanes + i, begin, end);
          }
        });
    if (status != TERSOR_OK) return status;
  }
  return TERSOR_OK;
}

// Rows below the matrix become those of a factor that goes on: x l^T = z.
tersor_status Cholesky::divide_rows(tersor_context* context, const float* z, int64_t rows, float* x) const {
  const int64_t lanes = kernels_.lanes, padded = (n_ + lanes - 1) / lanes * lanes;
  constexpr int64_t kProductsPerChunk = int64_t{1} << 20;
  const int64_t grain = std::max<int64_t>(1, kProductsPerChunk / std::max<int64_t>(1, padded * padded * lanes / 2));
  const auto divide_chunk = [&](int64_t begin, int64_t end) {
    tersor_context own_context{};
    void* memory = nullptr;
    if (chunk_scratch(&own_context, static_cast<size_t>(padded * lanes) * sizeof(double), &memory) != TERSOR_OK) {
      return false;
    }
    auto* own = static_cast<double*>(memory);
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t first = tile * lanes, count = std::min(lanes, rows - first);
      std::fill(own, own + padded * lanes, 0.0);
      for (int64_t row = 0; row < count; ++row) {
        for (int64_t j = 0; j < n_; ++j) own[j * lanes + row] = static_cast<double>(z[(first + row) * n_ + j]);
      }
      for (int64_t block = 0; block < padded; block += kernels_.block) {
        kernels_.factor_tile(tiles_.data(), own, padded / lanes, block, std::min(block + kernels_.block, padded));
      }
      for (int64_t row = 0; row < count; ++row) {
        for (int64_t j = 0; j < n_; ++j) x[(first + row) * n_ + j] = static_cast<float>(own[j * lanes + row]);
      }
    }
    return true;
  };
  return for_chunks_with_memory(context, (rows + lanes - 1) / lanes, grain, divide_chunk, [&] {
    return fail(context, TERSOR_OUT_OF_MEMORY, "expected working memory, got none");
  });
}

}  // namespace tersor::cpu
