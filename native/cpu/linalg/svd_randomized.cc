// Randomized SVD (Halko, Martinsson & Tropp 2011). Of the long side `m` and the short side `n` of the matrix, bases lie
// on the short side, where they are cheap to make orthonormal:
//   V = orth((A^T A)^p Omega),  A V = U S W^T,  A ~ U S (V W)^T.
// With p > 1, V holds the basis of one application less as well (a block Krylov space, Musco & Musco 2015): where that
// has as many columns as the oversampled basis, blocks of the rank alone do, which is less work for a smaller error.
// The eigenproblem of (A V)^T (A V) gives S and W. When the basis is a good part of n, A^T A is formed once and applied
// instead of A. Both square the singular values: a spectrum too wide for that in float is found out by the pivots, and
// is done again by QR at every half step.
#include "cpu/linalg/svd_randomized.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "cpu/aligned.h"
#include "cpu/finite.h"
#include "cpu/linalg/cholesky.h"
#include "cpu/linalg/svd.h"
#include "cpu/linalg/tall.h"
#include "cpu/view.h"

namespace tersor::cpu {

const KernelList<SpectralKernel> spectral_kernels("spectral", {
#if TERSOR_X86
  {"spectral_avx512", Isa::avx512, spectral_avx512}, {"spectral_avx2", Isa::avx2, spectral_avx2},
#endif
      {"spectral_scalar", Isa::scalar, spectral_scalar},
});

namespace {

// Squared ratios of the smallest to the largest singular value that matters: down to the first, float products of A^T A
// leave vectors orthonormal to 1e-5 as they are; down to the second, to 1e-3, which one more step of CholeskyQR mends.
constexpr double kNarrowSpectrum = 0.02, kMendableSpectrum = 5e-4;

// Ratio of the pivots of a basis in CholeskyQR down to which a Gram matrix in float, with an error of some 3e-7 of its
// largest element, tells its columns apart.
constexpr double kIndependent = 5e-4;

// Widths of the basis are whole vectors of any kernel where the matrix has as many columns.
constexpr int64_t kWidthStep = 16;

tersor_tensor matrix(const float* data, int64_t rows, int64_t columns) {
  tersor_tensor tensor{};
  tensor.data = const_cast<float*>(data);
  tensor.dtype = TERSOR_F32;
  tensor.rank = 2;
  tensor.shape[0] = rows, tensor.shape[1] = columns;
  return tensor;
}

class RandomizedSvd {
 public:
  RandomizedSvd(tersor_context* context, const tersor_tensor* a, int64_t rank,
                const tersor_svd_randomized_options& options)
      : context_(context),
        options_(options),
        a_(*a),
        wide_(rows_of(a) < columns_of(a)),
        m_(std::max(rows_of(a), columns_of(a))),
        n_(std::min(rows_of(a), columns_of(a))),
        rank_(rank),
        width_(std::min(n_, (rank + options.oversampling + kWidthStep - 1) / kWidthStep * kWidthStep)) {}

  // Throws std::bad_alloc.
  tersor_status run(float* u, float* s, float* vt) {
    const int64_t oversampled = width_, block = krylov_block(), total = std::max(oversampled, 2 * block);
    for (const tersor_status status :
         {basis_.allocate(context_, n_ * oversampled), next_.allocate(context_, n_ * oversampled),
          image_.allocate(context_, m_ * oversampled), gram_.allocate(context_, total * total),
          small_.allocate(context_, total * total), values_.allocate(context_, total),
          mix_.allocate(context_, total * rank_), left_.allocate(context_, m_ * rank_),
          right_.allocate(context_, n_ * rank_)}) {
      if (status != TERSOR_OK) return status;
    }
    bool narrow = false;
    tersor_status status = TERSOR_OK;
    if (forming_pays(block > 0 ? block : oversampled)) {
      status = draw();
      if (status == TERSOR_OK) status = by_gram(&narrow);
    } else {
      if (block > 0) {
        width_ = block;
        status = draw();
        if (status == TERSOR_OK) status = by_krylov(&narrow);
        width_ = oversampled;
      }
      if (status == TERSOR_OK && !narrow) status = draw();
      if (status == TERSOR_OK && !narrow) status = by_products(&narrow);
    }
    if (status == TERSOR_OK && narrow && mend_) status = mend(&narrow);
    if (status == TERSOR_OK && !narrow) status = draw();
    if (status == TERSOR_OK && !narrow) status = by_reflections();
    if (status == TERSOR_OK) write(u, s, vt);
    return status;
  }

 private:
  // Products with A [m, n], the matrix or its transpose.
  tersor_status multiply(const float* x, int64_t columns, float* y) {
    return product(a_, wide_, matrix(x, n_, columns), false, matrix(y, m_, columns));
  }
  tersor_status multiply_transposed(const float* y, int64_t columns, float* x) {
    return product(a_, !wide_, matrix(y, m_, columns), false, matrix(x, n_, columns));
  }
  tersor_status product(const tersor_tensor& a, bool transpose_a, const tersor_tensor& b, bool transpose_b,
                        const tersor_tensor& c, bool accumulate = false) {
    const tersor_epilogue none{nullptr, TERSOR_IDENTITY, nullptr};
    return gemm(context_, &a, transpose_a ? 1 : 0, &b, transpose_b ? 1 : 0, &none, accumulate ? 1 : 0, &c);
  }

  // Columns of a block of the Krylov space; 0 when it does not pay.
  int64_t krylov_block() const {
    const int64_t block = (rank_ + kWidthStep - 1) / kWidthStep * kWidthStep;
    const bool fits = 2 * block >= rank_ + options_.oversampling && 2 * block <= n_ && block < width_;
    return options_.power > 1 && fits && reads_in_place(block) ? block : 0;
  }
  bool reads_in_place(int64_t width) const { return !wide_ && width % tall_kernels.best()().vector == 0; }

  // next = A^T A basis.
  tersor_status apply_normal() {
    if (reads_in_place(width_)) return apply_normal_in_place(nullptr);
    const tersor_status status = multiply(basis_.data(), width_, image_.data());
    return status == TERSOR_OK ? multiply_transposed(image_.data(), width_, next_.data()) : status;
  }

  // The same, and image = A basis when that is not null.
  tersor_status apply_normal_in_place(float* image) {
    return multiply_normal(context_, tall_kernels.best()(), data_of<const float>(&a_), m_, n_, basis_.data(), width_,
                           next_.data(), image);
  }

  // Any independent numbers of mean 0 will do; uniform ones need no logarithms.
  tersor_status draw() {
    const tersor_tensor basis = matrix(basis_.data(), n_, width_);
    return random_uniform(context_, options_.seed, 0, -1.0f, 1.0f, &basis);
  }

  // g = x^T x of x[rows, columns].
  tersor_status gram_of(const float* x, int64_t rows, int64_t columns, float* g) {
    const tersor_tensor from = matrix(x, rows, columns), to = matrix(g, columns, columns);
    return gram(context_, &from, 0, 1, &to);
  }

  // Multiply-adds of both ways, per column of the matrix.
  bool forming_pays(int64_t product_width) const {
    const auto power = static_cast<double>(options_.power);
    const auto m = static_cast<double>(m_), n = static_cast<double>(n_), width = static_cast<double>(width_);
    const double formed = wide_ ? n : n / 2;  // a symmetric half of A^T A
    return m * formed + (power + 1) * n * width + m * static_cast<double>(rank_) <
           (2 * power + 1) * m * static_cast<double>(product_width);
  }

  tersor_status by_products(bool* narrow) {
    *narrow = true;
    for (int32_t i = 0; i < options_.power && *narrow; ++i) {
      if (const tersor_status status = apply_normal(); status != TERSOR_OK) return status;
      if (const tersor_status status = orthonormalize(i + 1 == options_.power, narrow); status != TERSOR_OK) {
        return status;
      }
    }
    if (!*narrow) return TERSOR_OK;
    if (const tersor_status status = multiply(basis_.data(), width_, image_.data()); status != TERSOR_OK) return status;
    const tersor_tensor image = matrix(image_.data(), m_, width_);
    if (const tersor_status status = gram_of(image_.data(), m_, width_, gram_.data()); status != TERSOR_OK)
      return status;
    if (const tersor_status status = diagonalize(width_, narrow); status != TERSOR_OK || !*narrow) return status;
    if (const tersor_status status = turn_basis(); status != TERSOR_OK) return status;
    divide_by_values(mix_.data(), width_);
    return product(image, false, matrix(mix_.data(), width_, rank_), false, matrix(left_.data(), m_, rank_));
  }

  // As by_products, in the space of the last two bases. What is left of the second beside the first may be next to
  // nothing, as for a matrix of few different singular values: that is for the others to do.
  tersor_status by_krylov(bool* narrow) {
    AlignedBuffer<float> first, first_image, part;
    for (const tersor_status status :
         {first.allocate(context_, n_ * width_), first_image.allocate(context_, m_ * width_),
          part.allocate(context_, width_ * width_)}) {
      if (status != TERSOR_OK) return status;
    }
    *narrow = true;
    for (int32_t i = 1; i < options_.power; ++i) {
      if (const tersor_status status = apply_normal(); status != TERSOR_OK) return status;
      const tersor_status status = orthonormalize(i + 1 == options_.power, narrow);
      if (status != TERSOR_OK || !*narrow) return status;
    }
    if (const tersor_status status = apply_normal_in_place(first_image.data()); status != TERSOR_OK) return status;
    std::copy(basis_.data(), basis_.data() + n_ * width_, first.data());
    const tersor_tensor one = matrix(first.data(), n_, width_), between = matrix(part.data(), width_, width_);
    for (int pass = 0; pass < 2; ++pass) {
      // next -= first first^T next
      const tersor_tensor rest = matrix(next_.data(), n_, width_);
      if (const tersor_status status = product(one, true, rest, false, between); status != TERSOR_OK) return status;
      for (int64_t i = 0; i < width_ * width_; ++i) part[i] = -part[i];
      if (const tersor_status status = product(one, false, between, false, rest, true); status != TERSOR_OK)
        return status;
      const tersor_status status = orthonormalize(pass == 1, narrow);
      if (status != TERSOR_OK || !*narrow) return status;
      std::copy(basis_.data(), basis_.data() + n_ * width_, next_.data());
    }
    if (const tersor_status status = multiply(basis_.data(), width_, image_.data()); status != TERSOR_OK) return status;

    const int64_t total = 2 * width_;
    const tersor_tensor one_image = matrix(first_image.data(), m_, width_), image = matrix(image_.data(), m_, width_);
    const auto place = [&](int64_t row, int64_t column) {
      for (int64_t i = 0; i < width_; ++i) {
        for (int64_t j = 0; j < width_; ++j) {
          gram_[(row + i) * total + column + j] = gram_[(column + j) * total + row + i] = part[i * width_ + j];
        }
      }
    };
    if (const tersor_status status = gram_of(first_image.data(), m_, width_, part.data()); status != TERSOR_OK)
      return status;
    place(0, 0);
    if (const tersor_status status = product(one_image, true, image, false, between); status != TERSOR_OK)
      return status;
    place(0, width_);
    if (const tersor_status status = gram_of(image_.data(), m_, width_, part.data()); status != TERSOR_OK)
      return status;
    place(width_, width_);
    if (const tersor_status status = diagonalize(total, narrow); status != TERSOR_OK || !*narrow) return status;

    // What both blocks give, by the upper and the lower half of the mix.
    const auto combine = [&](const tersor_tensor& upper, const tersor_tensor& lower, const tersor_tensor& sum) {
      const tersor_tensor mix = matrix(mix_.data(), width_, rank_);
      if (const tersor_status status = product(upper, false, mix, false, sum); status != TERSOR_OK) return status;
      return product(lower, false, matrix(mix_.data() + width_ * rank_, width_, rank_), false, sum, true);
    };
    const tersor_tensor basis = matrix(basis_.data(), n_, width_), right = matrix(right_.data(), n_, rank_);
    if (const tersor_status status = combine(one, basis, right); status != TERSOR_OK) return status;
    divide_by_values(mix_.data(), total);
    return combine(one_image, image, matrix(left_.data(), m_, rank_));
  }

  tersor_status by_gram(bool* narrow) {
    *narrow = true;
    AlignedBuffer<float> moments;
    if (const tersor_status status = moments.allocate(context_, n_ * n_); status != TERSOR_OK) return status;
    const tersor_tensor all = matrix(moments.data(), n_, n_);
    const tersor_status formed = wide_ ? product(a_, false, a_, true, all) : gram(context_, &a_, 0, 1, &all);
    if (formed != TERSOR_OK) return formed;
    const auto apply = [&] {
      return product(all, false, matrix(basis_.data(), n_, width_), false, matrix(next_.data(), n_, width_));
    };
    for (int32_t i = 0; i < options_.power && *narrow; ++i) {
      if (const tersor_status status = apply(); status != TERSOR_OK) return status;
      if (const tersor_status status = orthonormalize(i + 1 == options_.power, narrow); status != TERSOR_OK) {
        return status;
      }
    }
    if (!*narrow) return TERSOR_OK;
    if (const tersor_status status = apply(); status != TERSOR_OK) return status;
    const tersor_status projected = product(matrix(basis_.data(), n_, width_), true, matrix(next_.data(), n_, width_),
                                            false, matrix(gram_.data(), width_, width_));
    if (projected != TERSOR_OK) return projected;
    if (const tersor_status status = diagonalize(width_, narrow); status != TERSOR_OK || !*narrow) return status;
    if (const tersor_status status = turn_basis(); status != TERSOR_OK) return status;
    std::copy(right_.data(), right_.data() + n_ * rank_, next_.data());
    divide_by_values(next_.data(), n_);
    return multiply(next_.data(), rank_, left_.data());
  }

  // Subspace iteration with QR at every half step, then the SVD of A^T Q: as exact as float products are.
  tersor_status by_reflections() {
    const SpectralKernels& kernels = spectral_kernels.best()();
    for (int32_t i = 0;; ++i) {
      if (const tersor_status status = multiply(basis_.data(), width_, image_.data()); status != TERSOR_OK) {
        return status;
      }
      kernels.orthonormal(image_.data(), m_, width_, image_.data());
      if (const tersor_status status = multiply_transposed(image_.data(), width_, basis_.data()); status != TERSOR_OK) {
        return status;
      }
      if (i == options_.power) break;
      kernels.orthonormal(basis_.data(), n_, width_, basis_.data());
    }
    AlignedBuffer<float> values;
    if (const tersor_status status = values.allocate(context_, width_); status != TERSOR_OK) return status;
    if (!svd_kernels.best()(basis_.data(), n_, width_, next_.data(), values.data(), gram_.data())) {
      return no_convergence();
    }
    for (int64_t j = 0; j < rank_; ++j) {
      values_[j] = static_cast<double>(values[j]);
      for (int64_t i = 0; i < width_; ++i) mix_[i * rank_ + j] = gram_[j * width_ + i];
      for (int64_t i = 0; i < n_; ++i) right_[i * rank_ + j] = next_[i * width_ + j];
    }
    return product(matrix(image_.data(), m_, width_), false, matrix(mix_.data(), width_, rank_), false,
                   matrix(left_.data(), m_, rank_));
  }

  // next -> basis by CholeskyQR (Yamamoto et al. 2015), twice when it must be orthonormal rather than well-conditioned.
  tersor_status orthonormalize(bool twice, bool* narrow) {
    Cholesky factor(cholesky_kernels.best()());
    if (const tersor_status status = factor.allocate(context_, width_); status != TERSOR_OK) return status;
    const float* from = next_.data();
    for (int pass = 0; pass < (twice ? 2 : 1); ++pass, from = basis_.data()) {
      const tersor_status status = gram_of(from, n_, width_, gram_.data());
      if (status != TERSOR_OK) return status;
      for (int64_t i = 0; i < width_; ++i) {
        for (int64_t j = 0; j <= i; ++j) factor.at(i, j) = static_cast<double>(gram_[i * width_ + j]);
      }
      int64_t failed = -1;
      if (const tersor_status factored = factor.factor(context_, &failed); factored != TERSOR_OK) return factored;
      double smallest = HUGE_VAL, largest = 0;
      for (int64_t i = 0; i < width_ && failed < 0; ++i) {
        smallest = std::min(smallest, factor.at(i, i));
        largest = std::max(largest, factor.at(i, i));
      }
      *narrow = failed < 0 && smallest >= kIndependent * largest;
      if (!*narrow) return TERSOR_OK;
      const tersor_status divided = factor.divide_rows(context_, from, n_, basis_.data());
      if (divided != TERSOR_OK) return divided;
    }
    return TERSOR_OK;
  }

  // Singular values and the rank_ best combinations of the basis, from the Gram matrix of its image.
  tersor_status diagonalize(int64_t width, bool* narrow) {
    for (int64_t i = 0; i < width * width; ++i) small_[i] = static_cast<double>(gram_[i]);
    if (!spectral_kernels.best()().symmetric_eigen(small_.data(), width, values_.data())) return no_convergence();
    *narrow = values_[rank_ - 1] >= kMendableSpectrum * values_[0] && values_[0] > 0;
    mend_ = values_[rank_ - 1] < kNarrowSpectrum * values_[0];
    for (int64_t j = 0; j < rank_ && *narrow; ++j) {
      values_[j] = std::sqrt(values_[j]);
      for (int64_t i = 0; i < width; ++i) mix_[i * rank_ + j] = static_cast<float>(small_[i * width + j]);
    }
    return TERSOR_OK;
  }

  // Makes left_ orthonormal, which it nearly is.
  tersor_status mend(bool* narrow) {
    if (const tersor_status status = gram_of(left_.data(), m_, rank_, gram_.data()); status != TERSOR_OK) return status;
    Cholesky factor(cholesky_kernels.best()());
    if (const tersor_status allocated = factor.allocate(context_, rank_); allocated != TERSOR_OK) return allocated;
    for (int64_t i = 0; i < rank_; ++i) {
      for (int64_t j = 0; j <= i; ++j) factor.at(i, j) = static_cast<double>(gram_[i * rank_ + j]);
    }
    int64_t failed = -1;
    if (const tersor_status factored = factor.factor(context_, &failed); factored != TERSOR_OK) return factored;
    *narrow = failed < 0;
    return *narrow ? factor.divide_rows(context_, left_.data(), m_, left_.data()) : TERSOR_OK;
  }

  tersor_status turn_basis() {
    return product(matrix(basis_.data(), n_, width_), false, matrix(mix_.data(), width_, rank_), false,
                   matrix(right_.data(), n_, rank_));
  }

  void divide_by_values(float* columns, int64_t rows) const {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < rank_; ++j) {
        columns[i * rank_ + j] = static_cast<float>(static_cast<double>(columns[i * rank_ + j]) / values_[j]);
      }
    }
  }

  // left [m, rank] and right [n, rank] of A as the u and vt of the matrix.
  void write(float* u, float* s, float* vt) const {
    const float *rows = wide_ ? right_.data() : left_.data(), *columns = wide_ ? left_.data() : right_.data();
    const int64_t row_count = wide_ ? n_ : m_, column_count = wide_ ? m_ : n_;
    std::copy(rows, rows + row_count * rank_, u);
    constexpr int64_t kTurned = 16;  // columns at a time, whose lines stay in L1
    for (int64_t first = 0; first < rank_; first += kTurned) {
      for (int64_t i = 0; i < column_count; ++i) {
        for (int64_t j = first; j < std::min(rank_, first + kTurned); ++j)
          vt[j * column_count + i] = columns[i * rank_ + j];
      }
    }
    for (int64_t j = 0; j < rank_; ++j) s[j] = static_cast<float>(values_[j]);
    fix_signs(u, row_count, rank_, vt, column_count);
  }

  tersor_status no_convergence() const {
    return fail(context_, TERSOR_INTERNAL, "expected the decomposition to converge, got no convergence, at rank %lld",
                static_cast<long long>(rank_));
  }

  tersor_context* context_;
  const tersor_svd_randomized_options& options_;
  const tersor_tensor a_;
  const bool wide_;
  const int64_t m_, n_, rank_;
  int64_t width_;  // of a basis
  bool mend_ = false;
  AlignedBuffer<float> basis_, next_;  // [n, width]
  AlignedBuffer<float> image_;         // [m, width]
  AlignedBuffer<float> gram_;          // [width, width]
  AlignedBuffer<double> small_, values_;
  AlignedBuffer<float> mix_;           // [width, rank]
  AlignedBuffer<float> left_, right_;  // [m, rank], [n, rank]
};

}  // namespace

tersor_status svd_randomized(tersor_context* context, const tersor_tensor* a,
                             const tersor_svd_randomized_options* options, const tersor_tensor* u,
                             const tersor_tensor* s, const tersor_tensor* vt) {
  const int64_t rows = rows_of(a), columns = columns_of(a), rank = elements_of(s);
  if (rank > std::min(rows, columns)) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected a rank of at most %lld, got %lld",
                static_cast<long long>(std::min(rows, columns)), static_cast<long long>(rank));
  }
  if (options->oversampling < 0 || options->power < 1) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected an oversampling >= 0 and a power >= 1, got %d and %d",
                options->oversampling, options->power);
  }
  if (rank == 0) return TERSOR_OK;
  const auto* pa = data_of<const float>(a);
  if (const int64_t bad = first_non_finite(pa, rows * columns); bad >= 0) {
    return fail(context, TERSOR_NOT_FINITE, "expected finite values, got %g, at a[%lld, %lld]",
                static_cast<double>(pa[bad]), static_cast<long long>(bad / columns),
                static_cast<long long>(bad % columns));
  }
  try {
    return RandomizedSvd(context, a, rank, *options).run(data_of<float>(u), data_of<float>(s), data_of<float>(vt));
  } catch (const std::bad_alloc&) {
    return fail(context, TERSOR_OUT_OF_MEMORY, "expected memory for the SVD of a %lld x %lld matrix, got none",
                static_cast<long long>(rows), static_cast<long long>(columns));
  }
}

}  // namespace tersor::cpu
