// Randomized SVD (Halko, Martinsson & Tropp 2011). Of the long side `m` and the short side `n` of the matrix, bases lie
// on the short side, where they are cheap to make orthonormal:
//   V = orth((A^T A)^p Omega),  A V = U S W^T,  A ~ U S (V W)^T.
// With p > 1 and A tall, the iteration starts from A^T Omega, of an Omega that is mostly zeros and costs next to
// nothing (tall.h), and ends half an application earlier. V then holds the last two bases together (a block Krylov
// space, Musco & Musco 2015), which makes more than up for that: less work for a smaller error. The eigenproblem of (A
// V)^T (A V) gives S and W. When the basis is a good part of n, A^T A is formed once and applied instead of A. Both
// square the singular values: a spectrum too wide for that in float is found out by the pivots, and is done again by QR
// at every half step.
#include "cpu/linalg/svd_randomized.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <utility>
#include <vector>

#include "cpu/finite.h"
#include "cpu/linalg/cholesky.h"
#include "cpu/linalg/svd.h"
#include "cpu/linalg/tall.h"
#include "cpu/scratch.h"
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

// The same of two bases that are made orthonormal one by one and nearly are together.
constexpr double kNearlyOrthonormal = 0.5;

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

// All memory of a decomposition, which the thread keeps for the next one.
class Workspace {
 public:
  void reserve(float** part, int64_t count) { add(floats_, part, count); }
  void reserve(double** part, int64_t count) { add(doubles_, part, count); }

  // Sets the pointers.
  tersor_status allocate(tersor_context* context) {
    void* memory = nullptr;
    if (const tersor_status status = scratch(context, bytes_, &memory); status != TERSOR_OK) return status;
    auto* bytes = static_cast<std::byte*>(memory);
    for (const auto& [part, at] : floats_) *part = reinterpret_cast<float*>(bytes + at);
    for (const auto& [part, at] : doubles_) *part = reinterpret_cast<double*>(bytes + at);
    return TERSOR_OK;
  }

 private:
  template <typename T>
  void add(std::vector<std::pair<T**, size_t>>& parts, T** part, int64_t count) {
    constexpr size_t kAlignment = 64;
    parts.emplace_back(part, bytes_);
    bytes_ += (static_cast<size_t>(count) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
  }

  std::vector<std::pair<float**, size_t>> floats_;
  std::vector<std::pair<double**, size_t>> doubles_;
  size_t bytes_ = 0;
};

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
        width_(std::min(n_, (rank + options.oversampling + kWidthStep - 1) / kWidthStep * kWidthStep)),
        tall_(tall_kernels.best()(), data_of<const float>(a), m_, n_),
        in_place_(!wide_ && width_ % tall_kernels.best()().vector == 0),
        sketches_(in_place_ && width_ % kWidthStep == 0 && options.power > 1),
        two_bases_(sketches_ && 2 * width_ <= n_),
        forms_(forming_pays()) {}

  // Throws std::bad_alloc.
  tersor_status run(float* u, float* s, float* vt) {
    if (const tersor_status status = allocate(); status != TERSOR_OK) return status;
    bool narrow = false;
    if (const tersor_status status = start(); status != TERSOR_OK) return status;
    tersor_status status = forms_ ? by_gram(&narrow) : two_bases_ ? by_krylov(&narrow) : by_products(&narrow);
    if (status == TERSOR_OK && !narrow && !forms_ && two_bases_) {
      status = draw();
      if (status == TERSOR_OK) status = by_products(&narrow);
    }
    if (status == TERSOR_OK && narrow && mend_) status = mend(&narrow);
    if (status == TERSOR_OK && !narrow) status = draw();
    if (status == TERSOR_OK && !narrow) status = by_reflections();
    if (status == TERSOR_OK) write(u, s, vt);
    return status;
  }

 private:
  tersor_status allocate() {
    const bool krylov = two_bases_ && !forms_;
    const int64_t total = krylov ? 2 * width_ : width_;
    Workspace workspace;
    workspace.reserve(&basis_, n_ * width_);
    workspace.reserve(&next_, n_ * width_);
    workspace.reserve(&image_, m_ * total);
    workspace.reserve(&bases_, krylov ? n_ * total : 0);
    workspace.reserve(&sums_, in_place_ ? std::max(n_ * width_, forms_ ? 0 : tall_.normal_sums(width_)) : 0);
    workspace.reserve(&moments_, forms_ ? n_ * n_ : 0);
    workspace.reserve(&gram_, total * total);
    workspace.reserve(&small_, total * total);
    workspace.reserve(&values_, total);
    workspace.reserve(&mix_, total * rank_);
    workspace.reserve(&left_, m_ * rank_);
    workspace.reserve(&right_, n_ * rank_);
    return workspace.allocate(context_);
  }

  // What the iteration starts from: next = A^T signs, or basis = random numbers. Refuses NaN and infinity.
  tersor_status start() {
    const bool sketch = forms_ ? sketches_ : two_bases_;
    if (sketch) {
      const tersor_status status = tall_.sketch(context_, options_.seed, width_, next_, sums_);
      if (status != TERSOR_OK) return status;
      if (first_non_finite(next_, n_ * width_) < 0) return TERSOR_OK;
    }
    const auto* a = data_of<const float>(&a_);
    if (const int64_t bad = first_non_finite(a, m_ * n_); bad >= 0) {
      const int64_t columns = columns_of(&a_);
      return fail(context_, TERSOR_NOT_FINITE, "expected finite values, got %g, at a[%lld, %lld]",
                  static_cast<double>(a[bad]), static_cast<long long>(bad / columns),
                  static_cast<long long>(bad % columns));
    }
    return sketch ? TERSOR_OK : draw();
  }

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

  // next = A^T A basis, and image = A basis when that is not null.
  tersor_status apply_normal(Columns image = {nullptr, 0}) {
    if (in_place_) return tall_.multiply_normal(context_, basis_, width_, next_, image, sums_);
    const tersor_status status = multiply(basis_, width_, image_);
    return status == TERSOR_OK ? multiply_transposed(image_, width_, next_) : status;
  }

  // Any independent numbers of mean 0 will do; uniform ones need no logarithms.
  tersor_status draw() {
    const tersor_tensor basis = matrix(basis_, n_, width_);
    return random_uniform(context_, options_.seed, 0, -1.0f, 1.0f, &basis);
  }

  // g = x^T x of x[rows, columns].
  tersor_status gram_of(const float* x, int64_t rows, int64_t columns, float* g) {
    const tersor_tensor from = matrix(x, rows, columns), to = matrix(g, columns, columns);
    return gram(context_, &from, 0, 1, &to);
  }

  // Multiply-adds of both ways, per column of the matrix.
  bool forming_pays() const {
    const auto power = static_cast<double>(options_.power);
    const auto m = static_cast<double>(m_), n = static_cast<double>(n_), width = static_cast<double>(width_);
    const double steps = sketches_ ? power : power + 1;
    const double formed = m * (wide_ ? n : n / 2);  // a symmetric half of A^T A
    const double rest = two_bases_ ? 2 * m * width * (width + static_cast<double>(rank_)) / n : 0;
    return formed + steps * n * width + m * static_cast<double>(rank_) <
           (two_bases_ ? 2 * power - 1 : 2 * power + 1) * m * width + rest;
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
    if (const tersor_status status = multiply(basis_, width_, image_); status != TERSOR_OK) return status;
    const tersor_tensor image = matrix(image_, m_, width_);
    if (const tersor_status status = gram_of(image_, m_, width_, gram_); status != TERSOR_OK) return status;
    if (const tersor_status status = diagonalize(width_, nullptr, narrow); status != TERSOR_OK || !*narrow)
      return status;
    if (const tersor_status status = turn_basis(); status != TERSOR_OK) return status;
    divide_by_values(mix_, width_);
    return product(image, false, matrix(mix_, width_, rank_), false, matrix(left_, m_, rank_));
  }

  // As by_products, in the space of the last two bases. What is left of the second beside the first may be next to
  // nothing, as for a matrix of few different singular values: that is for the others to do.
  tersor_status by_krylov(bool* narrow) {
    const int64_t total = 2 * width_;
    if (const tersor_status status = orthonormalize(false, narrow); status != TERSOR_OK || !*narrow) return status;
    for (int32_t i = 2; i < options_.power; ++i) {
      if (const tersor_status status = apply_normal(); status != TERSOR_OK) return status;
      if (const tersor_status status = orthonormalize(false, narrow); status != TERSOR_OK || !*narrow) return status;
    }
    if (const tersor_status status = apply_normal({image_, total}); status != TERSOR_OK) return status;
    keep_basis(0);
    // next -= basis basis^T next
    const tersor_tensor first = matrix(basis_, n_, width_), rest = matrix(next_, n_, width_);
    const tersor_tensor part = matrix(gram_, width_, width_);
    if (const tersor_status status = product(first, true, rest, false, part); status != TERSOR_OK) return status;
    for (int64_t i = 0; i < width_ * width_; ++i) gram_[i] = -gram_[i];
    if (const tersor_status status = product(first, false, part, false, rest, true); status != TERSOR_OK) return status;
    if (const tersor_status status = orthonormalize(false, narrow); status != TERSOR_OK || !*narrow) return status;
    keep_basis(width_);
    const tersor_status multiplied = tall_.multiply(context_, basis_, width_, {image_ + width_, total});
    if (multiplied != TERSOR_OK) return multiplied;

    // The bases are orthonormal but for what float leaves, which the eigenproblem takes into account: of
    // L^-1 (A V)^T (A V) L^-T where V^T V = L L^T.
    if (const tersor_status status = gram_of(bases_, n_, total, gram_); status != TERSOR_OK) return status;
    Cholesky factor(cholesky_kernels.best()());
    if (const tersor_status status = factor_gram(total, kNearlyOrthonormal, &factor, narrow);
        status != TERSOR_OK || !*narrow) {
      return status;
    }
    if (const tersor_status status = gram_of(image_, m_, total, gram_); status != TERSOR_OK) return status;
    for (int side = 0; side < 2; ++side) {
      const tersor_status status = factor.divide_rows(context_, gram_, total, gram_);
      if (status != TERSOR_OK) return status;
      for (int64_t i = 0; i < total; ++i) {
        for (int64_t j = 0; j < i; ++j) std::swap(gram_[i * total + j], gram_[j * total + i]);
      }
    }
    if (const tersor_status status = diagonalize(total, &factor, narrow); status != TERSOR_OK || !*narrow) {
      return status;
    }
    const tersor_tensor mix = matrix(mix_, total, rank_);
    const tersor_status turned = product(matrix(bases_, n_, total), false, mix, false, matrix(right_, n_, rank_));
    if (turned != TERSOR_OK) return turned;
    divide_by_values(mix_, total);
    return product(matrix(image_, m_, total), false, mix, false, matrix(left_, m_, rank_));
  }

  // As columns [first, first + width) of both bases.
  void keep_basis(int64_t first) {
    for (int64_t i = 0; i < n_; ++i) {
      std::copy(basis_ + i * width_, basis_ + (i + 1) * width_, bases_ + i * 2 * width_ + first);
    }
  }

  tersor_status by_gram(bool* narrow) {
    *narrow = true;
    const tersor_tensor all = matrix(moments_, n_, n_);
    const tersor_status formed = wide_ ? product(a_, false, a_, true, all) : gram(context_, &a_, 0, 1, &all);
    if (formed != TERSOR_OK) return formed;
    const auto apply = [&] {
      return product(all, false, matrix(basis_, n_, width_), false, matrix(next_, n_, width_));
    };
    for (int32_t i = 0; i < options_.power && *narrow; ++i) {
      // The sketch is the first half of the first application.
      if (i > 0 || !sketches_) {
        if (const tersor_status status = apply(); status != TERSOR_OK) return status;
      }
      if (const tersor_status status = orthonormalize(i + 1 == options_.power, narrow); status != TERSOR_OK) {
        return status;
      }
    }
    if (!*narrow) return TERSOR_OK;
    if (const tersor_status status = apply(); status != TERSOR_OK) return status;
    const tersor_status projected =
        product(matrix(basis_, n_, width_), true, matrix(next_, n_, width_), false, matrix(gram_, width_, width_));
    if (projected != TERSOR_OK) return projected;
    if (const tersor_status status = diagonalize(width_, nullptr, narrow); status != TERSOR_OK || !*narrow)
      return status;
    if (const tersor_status status = turn_basis(); status != TERSOR_OK) return status;
    std::copy(right_, right_ + n_ * rank_, next_);
    divide_by_values(next_, n_);
    return multiply(next_, rank_, left_);
  }

  // Subspace iteration with QR at every half step, then the SVD of A^T Q: as exact as float products are.
  tersor_status by_reflections() {
    const SpectralKernels& kernels = spectral_kernels.best()();
    for (int32_t i = 0;; ++i) {
      if (const tersor_status status = multiply(basis_, width_, image_); status != TERSOR_OK) {
        return status;
      }
      kernels.orthonormal(image_, m_, width_, image_);
      if (const tersor_status status = multiply_transposed(image_, width_, basis_); status != TERSOR_OK) {
        return status;
      }
      if (i == options_.power) break;
      kernels.orthonormal(basis_, n_, width_, basis_);
    }
    std::vector<float> values(static_cast<size_t>(width_));
    if (!svd_kernels.best()(basis_, n_, width_, next_, values.data(), gram_)) {
      return no_convergence();
    }
    for (int64_t j = 0; j < rank_; ++j) {
      values_[j] = static_cast<double>(values[static_cast<size_t>(j)]);
      for (int64_t i = 0; i < width_; ++i) mix_[i * rank_ + j] = gram_[j * width_ + i];
      for (int64_t i = 0; i < n_; ++i) right_[i * rank_ + j] = next_[i * width_ + j];
    }
    return product(matrix(image_, m_, width_), false, matrix(mix_, width_, rank_), false, matrix(left_, m_, rank_));
  }

  // next -> basis by CholeskyQR (Yamamoto et al. 2015), twice when it must be orthonormal rather than well-conditioned.
  tersor_status orthonormalize(bool twice, bool* narrow) {
    Cholesky factor(cholesky_kernels.best()());
    const float* from = next_;
    for (int pass = 0; pass < (twice ? 2 : 1); ++pass, from = basis_) {
      if (const tersor_status status = gram_of(from, n_, width_, gram_); status != TERSOR_OK) return status;
      const tersor_status factored = factor_gram(width_, kIndependent, &factor, narrow);
      if (factored != TERSOR_OK || !*narrow) return factored;
      const tersor_status divided = factor.divide_rows(context_, from, n_, basis_);
      if (divided != TERSOR_OK) return divided;
    }
    return TERSOR_OK;
  }

  // The factor of gram_[width, width]; *narrow: the smallest pivot is at least so much of the largest.
  tersor_status factor_gram(int64_t width, double least, Cholesky* factor, bool* narrow) {
    if (const tersor_status status = factor->allocate(context_, width); status != TERSOR_OK) return status;
    for (int64_t i = 0; i < width; ++i) {
      for (int64_t j = 0; j <= i; ++j) factor->at(i, j) = static_cast<double>(gram_[i * width + j]);
    }
    int64_t failed = -1;
    if (const tersor_status status = factor->factor(context_, &failed); status != TERSOR_OK) return status;
    double smallest = HUGE_VAL, largest = 0;
    for (int64_t i = 0; i < width && failed < 0; ++i) {
      smallest = std::min(smallest, factor->at(i, i));
      largest = std::max(largest, factor->at(i, i));
    }
    *narrow = failed < 0 && smallest >= least * largest;
    return TERSOR_OK;
  }

  // Singular values and the rank_ best combinations of the basis, from the Gram matrix of its image; divided by the
  // transpose of `factor` unless that is null.
  tersor_status diagonalize(int64_t width, const Cholesky* factor, bool* narrow) {
    for (int64_t i = 0; i < width * width; ++i) small_[i] = static_cast<double>(gram_[i]);
    if (!spectral_kernels.best()().symmetric_eigen(small_, width, values_)) return no_convergence();
    *narrow = values_[rank_ - 1] >= kMendableSpectrum * values_[0] && values_[0] > 0;
    mend_ = values_[rank_ - 1] < kNarrowSpectrum * values_[0];
    if (!*narrow) return TERSOR_OK;
    for (int64_t j = 0; j < rank_; ++j) values_[j] = std::sqrt(values_[j]);
    for (int64_t i = width - 1; i >= 0; --i) {
      double* row = small_ + i * width;
      for (int64_t k = i + 1; factor != nullptr && k < width; ++k) {
        const double part = factor->at(k, i);
        for (int64_t j = 0; j < rank_; ++j) row[j] -= part * small_[k * width + j];
      }
      const double pivot = factor == nullptr ? 1 : factor->at(i, i);
      for (int64_t j = 0; j < rank_; ++j) {
        row[j] /= pivot;
        mix_[i * rank_ + j] = static_cast<float>(row[j]);
      }
    }
    return TERSOR_OK;
  }

  // Makes left_ orthonormal, which it nearly is.
  tersor_status mend(bool* narrow) {
    if (const tersor_status status = gram_of(left_, m_, rank_, gram_); status != TERSOR_OK) return status;
    Cholesky factor(cholesky_kernels.best()());
    if (const tersor_status status = factor_gram(rank_, 0, &factor, narrow); status != TERSOR_OK) return status;
    return *narrow ? factor.divide_rows(context_, left_, m_, left_) : TERSOR_OK;
  }

  tersor_status turn_basis() {
    return product(matrix(basis_, n_, width_), false, matrix(mix_, width_, rank_), false, matrix(right_, n_, rank_));
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
    const float *rows = wide_ ? right_ : left_, *columns = wide_ ? left_ : right_;
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
  const int64_t width_;  // of a basis
  const TallMatrix tall_;
  const bool in_place_;                      // products with A are tall_'s
  const bool sketches_, two_bases_, forms_;  // from A^T signs; by_krylov may do; A^T A is formed
  bool mend_ = false;
  float *basis_ = nullptr, *next_ = nullptr;  // [n, width]
  float* image_ = nullptr;                    // [m, width], of both bases [m, 2 width]
  float* bases_ = nullptr;                    // [n, 2 width]
  float* sums_ = nullptr;
  float* moments_ = nullptr;  // [n, n]
  // Of the width of one basis or of both.
  float* gram_ = nullptr;  // [width, width]
  double *small_ = nullptr, *values_ = nullptr;
  float* mix_ = nullptr;                      // [width, rank]
  float *left_ = nullptr, *right_ = nullptr;  // [m, rank], [n, rank]
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
  try {
    return RandomizedSvd(context, a, rank, *options).run(data_of<float>(u), data_of<float>(s), data_of<float>(vt));
  } catch (const std::bad_alloc&) {
    return fail(context, TERSOR_OUT_OF_MEMORY, "expected memory for the SVD of a %lld x %lld matrix, got none",
                static_cast<long long>(rows), static_cast<long long>(columns));
  }
}

}  // namespace tersor::cpu
