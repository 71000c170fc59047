#include "cpu/linalg/cholesky.h"

#include "typed.h"

namespace tersor::test {
namespace {

// x x^T of an n x (n + 3) matrix of random numbers, the lower triangle by columns of n.
std::vector<double> positive_definite(int64_t n, uint32_t seed) {
  const auto x = Random(seed).uniforms<double>(n * (n + 3), -1, 1);
  std::vector<double> a(static_cast<size_t>(n * n), 0.0);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < n + 3; ++k) {
        sum += x[static_cast<size_t>(i * (n + 3) + k)] * x[static_cast<size_t>(j * (n + 3) + k)];
      }
      a[static_cast<size_t>(i * n + j)] = sum;
    }
  }
  return a;
}

std::vector<double> factor_of(cpu::CholeskyKernel* kernel, const std::vector<double>& a, int64_t n, int64_t* failed) {
  Context context;
  cpu::Cholesky cholesky(kernel());
  REQUIRE(cholesky.allocate(&context, n) == TERSOR_OK);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) cholesky.at(i, j) = a[static_cast<size_t>(i * n + j)];
  }
  REQUIRE(cholesky.factor(&context, failed) == TERSOR_OK);
  std::vector<double> l(a.size(), 0.0);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) l[static_cast<size_t>(i * n + j)] = cholesky.at(i, j);
  }
  return l;
}

}  // namespace

TEST_CASE("cholesky: every kernel, any size, the product of the factors is the matrix") {
  for_each_kernel(cpu::cholesky_kernels, [](const std::string& isa, cpu::CholeskyKernel* kernel) {
    for (const int64_t n : {0, 1, 2, 7, 8, 23, 24, 25, 95, 96, 97, 131, 200}) {
      CAPTURE(isa);
      CAPTURE(n);
      const auto a = positive_definite(n, static_cast<uint32_t>(n + 1));
      const auto l = same_for_any_thread_count("cholesky", [&] {
        int64_t failed = 0;
        auto factor = factor_of(kernel, a, n, &failed);
        CHECK(failed == -1);
        return factor;
      });
      // Backward error of a Cholesky factorization (Higham 2002, theorem 10.3): (n + 1) u |l| |l|^T, u = 2^-53.
      double worst = 0;
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j <= i; ++j) {
          double sum = 0, sizes = 0;
          for (int64_t k = 0; k <= j; ++k) {
            const double term = l[static_cast<size_t>(i * n + k)] * l[static_cast<size_t>(j * n + k)];
            sum += term, sizes += std::fabs(term);
          }
          const double apart = std::fabs(sum - a[static_cast<size_t>(i * n + j)]);
          worst = std::max(worst, apart / (static_cast<double>(n + 1) * 0x1p-53 * sizes));
        }
      }
      CHECK(worst <= 1);
    }
  });
}

TEST_CASE("cholesky: names the first column that depends on those before it") {
  for_each_kernel(cpu::cholesky_kernels, [](const std::string& isa, cpu::CholeskyKernel* kernel) {
    for (const int64_t n : {3, 30, 120}) {
      for (const int64_t bad : {int64_t{0}, n / 2, n - 1}) {
        for (const double pivot : {0.0, -1.0, std::nan("")}) {
          CAPTURE(isa);
          CAPTURE(n);
          std::vector<double> a(static_cast<size_t>(n * n), 0.0);
          for (int64_t i = 0; i < n; ++i) a[static_cast<size_t>(i * n + i)] = i == bad ? pivot : 4;
          int64_t failed = -1;
          factor_of(kernel, a, n, &failed);
          CHECK(failed == bad);
        }
      }
    }
  });
}

TEST_CASE("cholesky: rows divided by the factor times the factor are the rows") {
  for_each_kernel(cpu::cholesky_kernels, [](const std::string& isa, cpu::CholeskyKernel* kernel) {
    for (const int64_t n : {1, 9, 40, 130}) {
      for (const int64_t rows : {0, 1, 25, 77}) {
        CAPTURE(isa);
        CAPTURE(n);
        CAPTURE(rows);
        const auto a = positive_definite(n, static_cast<uint32_t>(n + 1));
        Context context;
        cpu::Cholesky cholesky(kernel());
        REQUIRE(cholesky.allocate(&context, n) == TERSOR_OK);
        for (int64_t i = 0; i < n; ++i) {
          for (int64_t j = 0; j <= i; ++j) cholesky.at(i, j) = a[static_cast<size_t>(i * n + j)];
        }
        int64_t failed = 0;
        REQUIRE(cholesky.factor(&context, &failed) == TERSOR_OK);
        const auto z = uniform(rows * n, 4);
        const auto x = same_for_any_thread_count("divide_rows", [&] {
          const F32 out({rows, n});
          CHECK(cholesky.divide_rows(&context, z.data(), rows, out.data<float>()) == TERSOR_OK);
          return out.values();
        });
        for (int64_t i = 0; i < rows; ++i) {
          for (int64_t j = 0; j < n; ++j) {
            double sum = 0, sizes = 0;
            for (int64_t k = 0; k <= j; ++k) {
              const double term = static_cast<double>(x[static_cast<size_t>(i * n + k)]) * cholesky.at(j, k);
              sum += term, sizes += std::fabs(term);
            }
            // x is rounded to float once.
            CHECK(std::fabs(sum - z[static_cast<size_t>(i * n + j)]) <= 2 * kEpsilon * sizes);
          }
        }
      }
    }
  });
}

}  // namespace tersor::test
