// Compression of a weight column by column, where the columns that follow make up for the error of those before: the
// common part of GPTQ (Frantar et al. 2023) and SparseGPT (Frantar & Alistarh 2023).
//
// Both minimise tr(E H E^T) greedily, E = compressed - w. Here H = R R^T with R upper triangular, so that column j of
// E R sees the errors of columns k <= j only: column j + what cancels the errors before it is
//   w[j] - sum over k < j of E[k] * R[k][j] / R[j][j],
// and compressing that is GPTQ's choice. It needs no inverse of H and no update of the columns to come: an error is
// used where it is needed, in products with long sums, and rows of the weight do not depend on each other.
#pragma once

#include <functional>
#include <vector>

#include "backend/backend.h"
#include "backend/kernels.h"
#include "cpu/aligned.h"
#include "cpu/compress/second_order_kernels.h"

namespace tersor::cpu {

extern const KernelList<SecondOrderKernel> second_order_kernels;

struct SecondOrderOptions {
  float damping = 0;              // share of the mean of H's diagonal that is added to it
  bool activation_order = false;  // columns in order of falling H[j][j]
  CodeScales scales = CodeScales::none;
  const tersor_affine* affine = nullptr;  // of the codes; null without scales
  int64_t keep = 0, of = 0;               // keep : of in every row, of = 0: no pattern
  float sparsity = 0;                     // share of every block of columns that goes, without a pattern
};

class SecondOrder {
 public:
  SecondOrder(const SecondOrderKernels& kernels, tersor_context* context, const tersor_tensor* w,
              const tersor_tensor* hessian, const SecondOrderOptions& options);

  // Some compressed elements: `values` and, when there are scales, `codes` are [count][lanes], a lane for each row.
  struct Compressed {
    int64_t first_row, rows;
    const int64_t* columns;  // [count]: of the weight
    int64_t count, lanes;
    const float* values;
    const uint8_t* codes;
  };
  // Called from several threads, for each element once.
  using Write = std::function<void(const Compressed&)>;
  // Throws std::bad_alloc.
  tersor_status run(const Write& write);

  // Scales and zero points that were found, [rows, groups]; zero_points may be null.
  void copy_parameters(float* scales, int32_t* zero_points) const;

 private:
  struct Block {
    int64_t first, last;  // panels
  };

  tersor_status check() const;
  void choose_order();
  void cut_into_panels();
  tersor_status factor_hessian();
  tersor_status try_factor(class Cholesky& factor, double mean, double damping, int64_t* failed) const;
  tersor_status pack_factors(const class Cholesky& factor);
  tersor_status load_rows();
  void load_parameters(int64_t tile, class FirstPlace& bad) const;
  // body(tile, its memory) for every tile of rows of a block, in parallel.
  template <typename Body>
  tersor_status for_tiles(const Block& block, Body&& body);
  tersor_status score_block(const Block& block);
  tersor_status compress_block(const Block& block, const Write& write);
  float threshold_of(const Block& block);

  int64_t rows_of_tile(int64_t tile) const;
  int64_t columns_of_block(const Block& block) const;
  // Null when there is no memory.
  bool tile_at(int64_t tile, RowTile* out) const;

  const SecondOrderKernels& kernels_;
  tersor_context* context_;
  const SecondOrderOptions& options_;
  const float *w_, *hessian_;
  int64_t rows_, columns_, tiles_, groups_ = 0, longest_block_ = 0;

  SecondOrderPlan plan_{};
  std::vector<int64_t> order_, panel_begin_, factors_offset_;
  std::vector<int32_t> parameter_of_;
  std::vector<float> pivots_, ranking_;
  std::vector<Block> blocks_;
  AlignedBuffer<float> factors_, values_, parameters_, originals_, scores_;
  AlignedBuffer<uint8_t> kept_;
};

}  // namespace tersor::cpu
