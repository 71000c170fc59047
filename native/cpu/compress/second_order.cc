#include "cpu/compress/second_order.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cpu/compress/affine.h"
#include "cpu/finite.h"
#include "cpu/linalg/cholesky.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<SecondOrderKernel> second_order_kernels("second_order", {
#if TERSOR_X86
  {"second_order_avx512", Isa::avx512, second_order_avx512}, {"second_order_avx2", Isa::avx2, second_order_avx2},
#elif TERSOR_ARM
  {"second_order_neon", Isa::neon, second_order_neon},
#endif
      {"second_order_scalar", Isa::scalar, second_order_scalar},
});

namespace {

// Columns per block: the authors' lazy batches. A block's factors stay in L2 while tiles of rows go by.
constexpr int64_t kBlockColumns = 128;

// Multiply-adds per parallel chunk: some 50 us.
constexpr int64_t kProductsPerChunk = int64_t{1} << 22;

int64_t divide_up(int64_t value, int64_t by) { return (value + by - 1) / by; }

tersor_status check_finite(tersor_context* context, const char* name, const float* x, int64_t rows, int64_t columns) {
  const int64_t bad = first_non_finite(x, rows * columns);
  if (bad < 0) return TERSOR_OK;
  return fail(context, TERSOR_NOT_FINITE, "expected finite values, got %g, at %s[%lld, %lld]",
              static_cast<double>(x[bad]), name, static_cast<long long>(bad / columns),
              static_cast<long long>(bad % columns));
}

}  // namespace

SecondOrder::SecondOrder(const SecondOrderKernels& kernels, tersor_context* context, const tersor_tensor* w,
                         const tersor_tensor* hessian, const SecondOrderOptions& options)
    : kernels_(kernels),
      context_(context),
      options_(options),
      w_(data_of<const float>(w)),
      hessian_(data_of<const float>(hessian)),
      rows_(rows_of(w)),
      columns_(columns_of(w)),
      tiles_(divide_up(rows_, kernels.lanes)) {
  if (options.affine != nullptr) groups_ = columns_of(options.affine->scales);
}

tersor_status SecondOrder::run(const Write& write) {
  if (const tersor_status status = check(); status != TERSOR_OK) return status;
  if (rows_ == 0 || columns_ == 0) return TERSOR_OK;
  choose_order();
  cut_into_panels();
  if (const tersor_status status = factor_hessian(); status != TERSOR_OK) return status;
  if (const tersor_status status = load_rows(); status != TERSOR_OK) return status;
  for (const Block& block : blocks_) {
    if (plan_.masked && options_.of == 0) {
      if (const tersor_status status = score_block(block); status != TERSOR_OK) return status;
    }
    if (const tersor_status status = compress_block(block, write); status != TERSOR_OK) return status;
  }
  return TERSOR_OK;
}

tersor_status SecondOrder::check() const {
  if (!(options_.damping >= 0 && std::isfinite(options_.damping))) {
    return fail(context_, TERSOR_OUT_OF_RANGE, "expected a damping of 0 or more, got %g",
                static_cast<double>(options_.damping));
  }
  if (const tersor_status status = check_finite(context_, "w", w_, rows_, columns_); status != TERSOR_OK) return status;
  if (const tersor_status status = check_finite(context_, "hessian", hessian_, columns_, columns_);
      status != TERSOR_OK) {
    return status;
  }
  for (int64_t j = 0; j < columns_; ++j) {
    if (hessian_[j * columns_ + j] >= 0) continue;
    return fail(context_, TERSOR_INVALID_ARGUMENT, "expected a diagonal of 0 or more, got %g, at hessian[%lld, %lld]",
                static_cast<double>(hessian_[j * columns_ + j]), static_cast<long long>(j), static_cast<long long>(j));
  }
  return TERSOR_OK;
}

void SecondOrder::choose_order() {
  order_.resize(static_cast<size_t>(columns_));
  std::iota(order_.begin(), order_.end(), 0);
  if (!options_.activation_order) return;
  std::stable_sort(order_.begin(), order_.end(),
                   [this](int64_t a, int64_t b) { return hessian_[a * columns_ + a] > hessian_[b * columns_ + b]; });
}

// Units, the columns whose scales or mask are found together, never straddle two panels unless they begin with one.
void SecondOrder::cut_into_panels() {
  const bool finds_scales = options_.scales == CodeScales::symmetric || options_.scales == CodeScales::asymmetric;
  const int64_t width = kernels_.width;
  const int64_t unit = std::min(columns_, finds_scales ? std::min(options_.affine->group_size, columns_) : options_.of);
  const int64_t step = unit > 0 && unit <= width ? width / unit * unit : width;
  int64_t floats = 0;
  Block block{0, 0};
  panel_begin_ = {0};
  for (int64_t begin = 0; begin < columns_;) {
    int64_t end = std::min(begin + step, columns_);
    if (unit > width) end = std::min(end, (begin / unit + 1) * unit);
    factors_offset_.push_back(floats);
    floats += divide_up(end * width, 16) * 16;
    panel_begin_.push_back(end);
    block.last = static_cast<int64_t>(factors_offset_.size());
    const int64_t block_columns = columns_of_block(block);
    if (end == columns_ || (block_columns >= kBlockColumns && (unit == 0 || end % unit == 0))) {
      longest_block_ = std::max(longest_block_, block_columns);
      blocks_.push_back(block);
      block.first = block.last;
    }
    begin = end;
  }
  factors_offset_.push_back(floats);

  parameter_of_.assign(static_cast<size_t>(columns_), 0);
  if (options_.affine != nullptr) {
    for (size_t i = 0; i < parameter_of_.size(); ++i) {
      parameter_of_[i] = static_cast<int32_t>(order_[i] / options_.affine->group_size);
    }
  }
  plan_.columns = columns_;
  plan_.panels = static_cast<int64_t>(panel_begin_.size()) - 1;
  plan_.panel_begin = panel_begin_.data();
  plan_.factors_offset = factors_offset_.data();
  plan_.scales = options_.scales;
  plan_.parameter_of = parameter_of_.data();
  plan_.code_min = options_.affine == nullptr ? 0.0f : static_cast<float>(options_.affine->code_min);
  plan_.code_max = options_.affine == nullptr ? 0.0f : static_cast<float>(options_.affine->code_max);
  plan_.unit = unit;
  plan_.keep = options_.of > 0 ? options_.keep : 0;
  plan_.masked = options_.of > 0 || options_.sparsity > 0;
}

// Eigenvalues that rounding or too few examples made zero or negative: the damping grows until the factor exists.
tersor_status SecondOrder::factor_hessian() {
  constexpr double kLeastDamping = 1e-6, kGrowth = 10, kMostDamping = 1e4;
  double sum = 0;
  int64_t live = 0;
  for (int64_t j = 0; j < columns_; ++j) {
    const double pivot = hessian_[j * columns_ + j];
    sum += pivot;
    live += pivot > 0 ? 1 : 0;
  }
  const double mean = live == 0 ? 1 : sum / static_cast<double>(live);
  Cholesky factor(cholesky_kernels.best()());
  if (const tersor_status status = factor.allocate(context_, columns_); status != TERSOR_OK) return status;
  for (double damping = options_.damping;; damping = std::max(damping * kGrowth, kLeastDamping)) {
    int64_t failed = -1;
    const tersor_status status = try_factor(factor, mean, damping, &failed);
    if (status != TERSOR_OK) return status;
    if (failed < 0) return pack_factors(factor);
    if (damping <= kMostDamping) continue;
    return fail(context_, TERSOR_INVALID_ARGUMENT,
                "expected a positive semi-definite hessian, got one that is not even with %g times its mean diagonal "
                "added",
                damping);
  }
}

// Position p of the order is row columns - 1 - p: the lower factor of the reversed matrix is the upper one of H.
// A column that no input ever used (H[j][j] = 0) depends on no other one: it is compressed as if alone.
tersor_status SecondOrder::try_factor(Cholesky& factor, double mean, double damping, int64_t* failed) const {
  const tersor_status status = for_chunks(context_, columns_, row_grain(columns_), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t i = order_[static_cast<size_t>(columns_ - 1 - row)];
      const float* from = hessian_ + i * columns_;
      const bool dead = from[i] == 0;
      for (int64_t column = 0; column < row; ++column) {
        const int64_t j = order_[static_cast<size_t>(columns_ - 1 - column)];
        factor.at(row, column) = dead || hessian_[j * columns_ + j] == 0 ? 0.0 : from[j];
      }
      factor.at(row, row) = dead ? mean : from[i] + damping * mean;
    }
  });
  return status == TERSOR_OK ? factor.factor(context_, failed) : status;
}

tersor_status SecondOrder::pack_factors(const Cholesky& factor) {
  const int64_t width = kernels_.width, last = columns_ - 1;
  if (const tersor_status status = factors_.allocate(context_, factors_offset_.back()); status != TERSOR_OK) {
    return status;
  }
  pivots_.resize(static_cast<size_t>(columns_));
  plan_.factors = factors_.data();
  plan_.pivots = pivots_.data();
  return for_chunks(context_, plan_.panels, row_grain(columns_ * width), [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) {
      float* to = factors_.data() + plan_.factors_offset[panel];
      const int64_t first = plan_.panel_begin[panel], after = plan_.panel_begin[panel + 1];
      std::fill(to, to + after * width, 0.0f);
      for (int64_t j = first; j < after; ++j) {
        const double pivot = factor.at(last - j, last - j);
        pivots_[static_cast<size_t>(j)] = static_cast<float>(pivot);
        for (int64_t k = 0; k < j; ++k) {
          to[k * width + (j - first)] = static_cast<float>(factor.at(last - k, last - j) / pivot);
        }
      }
    }
  });
}

tersor_status SecondOrder::load_rows() {
  const int64_t lanes = kernels_.lanes, tile_floats = (columns_ + kernels_.width) * lanes;
  const int64_t block_floats = longest_block_ * lanes;
  const bool coded = options_.scales != CodeScales::none;
  const int64_t parameter_floats = coded ? groups_ * kLaneParameters * lanes : 0;
  for (const tersor_status status :
       {values_.allocate(context_, tiles_ * tile_floats), originals_.allocate(context_, tiles_ * block_floats),
        parameters_.allocate(context_, tiles_ * parameter_floats),
        scores_.allocate(context_, plan_.masked ? tiles_ * block_floats : 0),
        kept_.allocate(context_, plan_.masked ? tiles_ * block_floats : 0)}) {
    if (status != TERSOR_OK) return status;
  }
  FirstPlace bad;
  const tersor_status status =
      for_chunks(context_, tiles_, row_grain(columns_ * lanes), [&](int64_t begin, int64_t end) {
        for (int64_t tile = begin; tile < end; ++tile) {
          float* to = values_.data() + tile * tile_floats;
          const int64_t rows = rows_of_tile(tile);
          if (rows < lanes) std::fill(to, to + columns_ * lanes, 0.0f);
          std::fill(to + columns_ * lanes, to + tile_floats, 0.0f);
          for (int64_t position = 0; position < columns_; ++position) {
            const float* from = w_ + tile * lanes * columns_ + order_[static_cast<size_t>(position)];
            for (int64_t row = 0; row < rows; ++row) to[position * lanes + row] = from[row * columns_];
          }
          if (coded) load_parameters(tile, bad);
        }
      });
  if (status != TERSOR_OK || !bad.found()) return status;
  return AffineGroups(options_.affine, columns_).explain(context_, bad);
}

void SecondOrder::load_parameters(int64_t tile, FirstPlace& bad) const {
  const int64_t lanes = kernels_.lanes;
  float* all = parameters_.data() + tile * groups_ * kLaneParameters * lanes;
  const auto set = [&](int64_t group, int64_t lane, const AffineGroup& from) {
    float* to = all + group * kLaneParameters * lanes + lane;
    const float values[kLaneParameters] = {from.scale, from.bias, static_cast<float>(from.zero_point), from.lower,
                                           from.upper};
    for (int i = 0; i < kLaneParameters; ++i) to[i * lanes] = values[i];
  };
  // Rows past the last are compressed too; nobody sees it.
  for (int64_t group = 0; group < groups_; ++group) {
    for (int64_t lane = 0; lane < lanes; ++lane) set(group, lane, {1, 0, 0, 0, 0});
  }
  const AffineGroups groups(options_.affine, columns_);
  for (int64_t lane = 0; lane < rows_of_tile(tile); ++lane) {
    if (options_.scales == CodeScales::given) {
      groups.for_row(tile * lanes + lane, bad, [&](const AffineGroup& from, int64_t begin, int64_t) {
        set(begin / options_.affine->group_size, lane, from);
      });
    } else if (options_.affine->zero_points != nullptr && options_.scales == CodeScales::symmetric) {
      const auto* zero_points = data_of<const int32_t>(options_.affine->zero_points);
      for (int64_t group = 0; group < groups_; ++group) {
        set(group, lane, {1, 0, 0, 0, zero_points[(tile * lanes + lane) * groups_ + group]});
      }
    }
  }
}

template <typename Body>
tersor_status SecondOrder::for_tiles(const Block& block, Body&& body) {
  const int64_t columns = columns_of_block(block);
  const int64_t products = std::max<int64_t>(1, plan_.panel_begin[block.last] * columns * kernels_.lanes);
  const int64_t grain = std::max<int64_t>(1, kProductsPerChunk / products);
  const auto run = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      RowTile tile;
      if (!tile_at(i, &tile)) return false;
      body(i, tile);
    }
    return true;
  };
  return for_chunks_with_memory(context_, tiles_, grain, run, [&] {
    return fail(context_, TERSOR_OUT_OF_MEMORY, "expected working memory, got none");
  });
}

tersor_status SecondOrder::score_block(const Block& block) {
  const int64_t lanes = kernels_.lanes, columns = columns_of_block(block);
  const tersor_status status = for_tiles(block, [&](int64_t, const RowTile& tile) {
    kernels_.absorb(plan_, tile, block.first, block.last);
    kernels_.score(plan_, tile, block.first, block.last);
  });
  if (status != TERSOR_OK) return status;
  const float threshold = threshold_of(block);
  return for_chunks(context_, tiles_, row_grain(columns * lanes), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * longest_block_ * lanes; i < end * longest_block_ * lanes; ++i) {
      kept_[i] = scores_[i] > threshold ? 1 : 0;
    }
  });
}

// Cost up to which elements of the block go.
float SecondOrder::threshold_of(const Block& block) {
  const int64_t lanes = kernels_.lanes, columns = columns_of_block(block);
  const auto count =
      static_cast<int64_t>(std::llround(static_cast<double>(options_.sparsity) * static_cast<double>(rows_ * columns)));
  if (count == 0) return -1;
  ranking_.clear();
  for (int64_t tile = 0; tile < tiles_; ++tile) {
    for (int64_t i = 0; i < columns; ++i) {
      const float* scores = scores_.data() + (tile * longest_block_ + i) * lanes;
      for (int64_t lane = 0; lane < rows_of_tile(tile); ++lane) {
        ranking_.push_back(std::isnan(scores[lane]) ? HUGE_VALF : scores[lane]);
      }
    }
  }
  const auto at = ranking_.begin() + (count - 1);
  std::nth_element(ranking_.begin(), at, ranking_.end());
  return *at;
}

tersor_status SecondOrder::compress_block(const Block& block, const Write& write) {
  const int64_t lanes = kernels_.lanes, columns = columns_of_block(block);
  const int64_t first = plan_.panel_begin[block.first];
  const bool absorbed = plan_.masked && options_.of == 0;
  return for_tiles(block, [&](int64_t i, const RowTile& tile) {
    if (!absorbed) kernels_.absorb(plan_, tile, block.first, block.last);
    kernels_.compress(plan_, tile, block.first, block.last);
    write({.first_row = i * lanes,
           .rows = rows_of_tile(i),
           .columns = order_.data() + first,
           .count = columns,
           .lanes = lanes,
           .values = tile.results,
           .codes = tile.codes});
  });
}

void SecondOrder::copy_parameters(float* scales, int32_t* zero_points) const {
  const int64_t lanes = kernels_.lanes;
  for (int64_t row = 0; row < rows_; ++row) {
    for (int64_t group = 0; group < groups_; ++group) {
      const float* from =
          parameters_.data() + ((row / lanes * groups_ + group) * kLaneParameters) * lanes + row % lanes;
      scales[row * groups_ + group] = from[0];
      if (zero_points != nullptr) zero_points[row * groups_ + group] = static_cast<int32_t>(from[2 * lanes]);
    }
  }
}

int64_t SecondOrder::rows_of_tile(int64_t tile) const {
  return std::min<int64_t>(kernels_.lanes, rows_ - tile * kernels_.lanes);
}

int64_t SecondOrder::columns_of_block(const Block& block) const {
  return panel_begin_[static_cast<size_t>(block.last)] - panel_begin_[static_cast<size_t>(block.first)];
}

bool SecondOrder::tile_at(int64_t tile, RowTile* out) const {
  const int64_t lanes = kernels_.lanes, block_floats = longest_block_ * lanes;
  const int64_t ahead_floats = (longest_block_ + kernels_.width) * lanes;
  tersor_context own{};
  void* memory = nullptr;
  const auto bytes = static_cast<size_t>((2 * ahead_floats + block_floats) * int64_t{sizeof(float)} + block_floats);
  if (scratch(&own, bytes, &memory) != TERSOR_OK) return false;
  auto* floats = static_cast<float*>(memory);
  *out = {.values = values_.data() + tile * (columns_ + kernels_.width) * lanes,
          .parameters = parameters_.data() + tile * groups_ * kLaneParameters * lanes,
          .originals = originals_.data() + tile * block_floats,
          .results = floats + 2 * ahead_floats,
          .codes = reinterpret_cast<uint8_t*>(floats + 2 * ahead_floats + block_floats),
          .kept = plan_.masked ? kept_.data() + tile * block_floats : nullptr,
          .scores = plan_.masked ? scores_.data() + tile * block_floats : nullptr,
          .ahead = floats,
          .ahead_errors = floats + ahead_floats};
  return true;
}

}  // namespace tersor::cpu
