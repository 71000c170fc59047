#include "cpu/linalg/cholesky.h"

#include <algorithm>

#include "cpu/parallel.h"

namespace tersor::cpu {

const KernelList<CholeskyKernel> cholesky_kernels("cholesky", {
#if TERSOR_X86
  {"cholesky_avx512", Isa::avx512, cholesky_avx512}, {"cholesky_avx2", Isa::avx2, cholesky_avx2},
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
      *failed = kernels_.factor_tile(tiles_.data(), tile, begin, end);
      if (*failed >= 0) return TERSOR_OK;
    }
    // Some 20 us each.
    constexpr int64_t kProductsPerChunk = int64_t{1} << 19;
    const int64_t grain = std::max<int64_t>(1, kProductsPerChunk / ((begin + kernels_.block) * lanes * kernels_.block));
    const tersor_status status =
        for_chunks(context, tiles - end / lanes, grain, [&](int64_t chunk_begin, int64_t chunk_end) {
          for (int64_t i = chunk_begin; i < chunk_end; ++i) {
            kernels_.factor_tile(tiles_.data(), end / lanes + i, begin, end);
          }
        });
    if (status != TERSOR_OK) return status;
  }
  return TERSOR_OK;
}

}  // namespace tersor::cpu
