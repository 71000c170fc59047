#include "cpu/linalg/jacobi.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "cpu/finite.h"
#include "cpu/linalg/svd.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<JacobiKernel> jacobi_kernels("svd_batched", {
#if TERSOR_X86
  {"jacobi_avx512", Isa::avx512, jacobi_avx512}, {"jacobi_avx2", Isa::avx2, jacobi_avx2},
#endif
      {"jacobi_scalar", Isa::scalar, jacobi_scalar},
});

namespace {

constexpr int64_t kLimit = TERSOR_SVD_BATCHED_LIMIT;

int64_t whole_vectors(int64_t length) { return (length + kJacobiLanes - 1) / kJacobiLanes * kJacobiLanes; }

// One matrix of [rows, columns]. Of it or its transpose, whichever is tall, the columns are rotated in double and
// rounded once at the end; behind each of them is the column of V that is rotated with it.
class SmallSvd {
 public:
  SmallSvd(int64_t rows, int64_t columns)
      : rows_(rows),
        columns_(columns),
        wide_(rows < columns),
        length_(std::max(rows, columns)),
        count_(std::min(rows, columns)),
        padded_(whole_vectors(length_)),
        stride_(padded_ + whole_vectors(count_)) {}

  int64_t scratch_doubles() const { return count_ * stride_; }

  // False when the rotations did not come to an end.
  bool run(JacobiKernel* kernel, const float* a, double* memory, float* u, float* s, float* vt) const {
    std::fill(memory, memory + scratch_doubles(), 0.0);
    for (int64_t j = 0; j < count_; ++j) {
      double* const column = memory + j * stride_;
      for (int64_t i = 0; i < length_; ++i) {
        column[i] = static_cast<double>(wide_ ? a[j * columns_ + i] : a[i * columns_ + j]);
      }
      column[padded_ + j] = 1;
    }
    if (!kernel(memory, count_, padded_, stride_)) return false;

    std::array<double, kLimit> lengths;
    std::array<int64_t, kLimit> order;
    for (int64_t j = 0; j < count_; ++j) {
      const double* const column = memory + j * stride_;
      lengths[at(j)] = std::sqrt(std::inner_product(column, column + length_, column, 0.0));
    }
    std::iota(order.begin(), order.begin() + count_, 0);
    std::stable_sort(order.begin(), order.begin() + count_,
                     [&](int64_t i, int64_t j) { return lengths[at(i)] > lengths[at(j)]; });
    for (int64_t r = 0; r < count_; ++r) {
      double* const column = memory + order[at(r)] * stride_;
      const double length = lengths[at(order[at(r)])];
      s[r] = static_cast<float>(length);
      if (length > kJacobiNothing) {
        for (int64_t i = 0; i < length_; ++i) column[i] /= length;
      } else {
        complete(memory, order, r);
      }
      float* const of_long = wide_ ? vt : u;  // the singular vectors that are `length_` long
      float* const of_short = wide_ ? u : vt;
      for (int64_t i = 0; i < length_; ++i) of_long[wide_ ? r * columns_ + i : i * count_ + r] = rounded(column[i]);
      for (int64_t i = 0; i < count_; ++i) {
        of_short[wide_ ? i * count_ + r : r * columns_ + i] = rounded(column[padded_ + i]);
      }
    }
    fix_signs(u, rows_, count_, vt, columns_);
    return true;
  }

 private:
  static size_t at(int64_t i) { return static_cast<size_t>(i); }
  static float rounded(double v) { return static_cast<float>(v); }

  // Any column that is orthogonal to the first r, which are orthonormal: what they leave of a column of the identity,
  // of which they hold least; twice, since the first time leaves rounding errors.
  void complete(double* memory, const std::array<int64_t, kLimit>& order, int64_t r) const {
    std::array<double, kLimit> held{};
    for (int64_t k = 0; k < r; ++k) {
      const double* const other = memory + order[at(k)] * stride_;
      for (int64_t i = 0; i < length_; ++i) held[at(i)] += other[i] * other[i];
    }
    double* const column = memory + order[at(r)] * stride_;
    std::fill(column, column + length_, 0.0);
    column[std::min_element(held.begin(), held.begin() + length_) - held.begin()] = 1;
    for (int pass = 0; pass < 2; ++pass) {
      for (int64_t k = 0; k < r; ++k) {
        const double* const other = memory + order[at(k)] * stride_;
        const double dot = std::inner_product(column, column + length_, other, 0.0);
        for (int64_t i = 0; i < length_; ++i) column[i] -= dot * other[i];
      }
      const double length = std::sqrt(std::inner_product(column, column + length_, column, 0.0));
      for (int64_t i = 0; i < length_; ++i) column[i] /= length;
    }
  }

  const int64_t rows_, columns_;
  const bool wide_;
  const int64_t length_, count_, padded_, stride_;
};

}  // namespace

tersor_status svd_batched_by(JacobiKernel* kernel, tersor_context* context, const tersor_tensor* a,
                             const tersor_tensor* u, const tersor_tensor* s, const tersor_tensor* vt) {
  const int64_t batch = a->shape[0], rows = a->shape[1], columns = a->shape[2], count = std::min(rows, columns);
  if (rows > kLimit || columns > kLimit) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected matrices of at most %lld x %lld, got %lld x %lld",
                static_cast<long long>(kLimit), static_cast<long long>(kLimit), static_cast<long long>(rows),
                static_cast<long long>(columns));
  }
  if (batch == 0 || count == 0) return TERSOR_OK;
  const auto* pa = data_of<const float>(a);
  const SmallSvd decomposition(rows, columns);
  // Some eight sweeps over all pairs.
  const int64_t operations = 8 * count * count * std::max(rows, columns) * 4;
  constexpr int64_t kOperationsPerChunk = int64_t{1} << 18;
  const int64_t grain = std::max<int64_t>(1, kOperationsPerChunk / operations);
  FirstPlace bad, endless;
  const auto decompose = [&](int64_t begin, int64_t end) {
    tersor_context own{};
    void* memory = nullptr;
    if (scratch(&own, static_cast<size_t>(decomposition.scratch_doubles()) * sizeof(double), &memory) != TERSOR_OK) {
      return false;
    }
    for (int64_t i = begin; i < end && !is_cancelled(context); ++i) {
      const float* const matrix = pa + i * rows * columns;
      if (const int64_t place = first_non_finite(matrix, rows * columns); place >= 0) {
        bad.report(i * rows * columns + place);
      } else if (!decomposition.run(kernel, matrix, static_cast<double*>(memory), data_of<float>(u) + i * rows * count,
                                    data_of<float>(s) + i * count, data_of<float>(vt) + i * count * columns)) {
        endless.report(i);
      }
    }
    return true;
  };
  const tersor_status status = for_chunks_with_memory(context, batch, grain, decompose, [&] {
    return fail(context, TERSOR_OUT_OF_MEMORY, "expected working memory, got none");
  });
  if (status != TERSOR_OK) return status;
  if (is_cancelled(context)) return cancelled(context);
  if (bad.found()) {
    const int64_t place = bad.place(), within = place % (rows * columns);
    return fail(context, TERSOR_NOT_FINITE, "expected finite values, got %g, at a[%lld, %lld, %lld]",
                static_cast<double>(pa[place]), static_cast<long long>(place / (rows * columns)),
                static_cast<long long>(within / columns), static_cast<long long>(within % columns));
  }
  if (endless.found()) {
    return fail(context, TERSOR_INTERNAL, "expected the SVD to converge, got no convergence, at matrix %lld",
                static_cast<long long>(endless.place()));
  }
  return TERSOR_OK;
}

tersor_status svd_batched(tersor_context* context, const tersor_tensor* a, const tersor_tensor* u,
                          const tersor_tensor* s, const tersor_tensor* vt) {
  return svd_batched_by(jacobi_kernels.best(), context, a, u, s, vt);
}

}  // namespace tersor::cpu
