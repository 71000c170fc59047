// Singular values of batches of small matrices: every kernel against known spectra, and the products that they must
// give back in float64.
#include <functional>
#include <limits>
#include <string>

#include "cpu/linalg/jacobi.h"
#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

struct Batch {
  int64_t count, m, n, k;
  F32 u, s, vt;

  Batch(int64_t matrices, int64_t rows, int64_t columns)
      : count(matrices), m(rows), n(columns), k(std::min(m, n)), u({count, m, k}), s({count, k}), vt({count, k, n}) {}

  tersor_status run(const std::vector<float>& a, cpu::JacobiKernel* kernel = cpu::jacobi_kernels.best()) {
    const F32 input({count, m, n}, a);
    return cpu::svd_batched_by(kernel, &context, input, u, s, vt);
  }
  double left(int64_t b, int64_t i, int64_t r) const { return u[static_cast<size_t>((b * m + i) * k + r)]; }
  double value(int64_t b, int64_t r) const { return s[static_cast<size_t>(b * k + r)]; }
  double right(int64_t b, int64_t r, int64_t j) const { return vt[static_cast<size_t>((b * k + r) * n + j)]; }

  Context context;
};

// u s vt = a, u and v orthonormal, s in order and not negative, the largest element of each u column positive; all to a
// few roundings to float.
void check_decomposition(const Batch& d, const std::vector<float>& a) {
  for (int64_t b = 0; b < d.count; ++b) {
    CAPTURE(b);
    const double norm = d.k == 0 ? 0 : d.value(b, 0);
    double apart = 0, skew = 0;
    for (int64_t i = 0; i < d.m; ++i) {
      for (int64_t j = 0; j < d.n; ++j) {
        double product = 0;
        for (int64_t r = 0; r < d.k; ++r) product += d.left(b, i, r) * d.value(b, r) * d.right(b, r, j);
        apart = std::max(apart, std::abs(product - a[static_cast<size_t>((b * d.m + i) * d.n + j)]));
      }
    }
    for (int64_t p = 0; p < d.k; ++p) {
      for (int64_t q = 0; q <= p; ++q) {
        double in_u = p == q ? -1 : 0, in_v = in_u;
        for (int64_t i = 0; i < d.m; ++i) in_u += d.left(b, i, p) * d.left(b, i, q);
        for (int64_t j = 0; j < d.n; ++j) in_v += d.right(b, p, j) * d.right(b, q, j);
        skew = std::max({skew, std::abs(in_u), std::abs(in_v)});
      }
      CHECK(d.value(b, p) >= 0);
      if (p > 0) CHECK(d.value(b, p) <= d.value(b, p - 1));
      double largest = 0;
      for (int64_t i = 0; i < d.m; ++i) {
        if (std::abs(d.left(b, i, p)) > std::abs(largest)) largest = d.left(b, i, p);
      }
      CHECK(largest > 0);
    }
    // Each of u, s and vt is rounded once.
    CHECK(apart <= 4 * kEpsilon * norm);
    CHECK(skew <= 4 * kEpsilon);
  }
}

// v -= 2 x (x^T v) / (x^T x) down the rows and along the columns of a[m,n].
void reflect(std::vector<double>& a, int64_t m, int64_t n, uint32_t seed) {
  for (const bool rows : {true, false}) {
    const int64_t length = rows ? m : n, others = rows ? n : m;
    const auto x = Random(seed + (rows ? 0 : 1)).uniforms<double>(length, 0.1, 1);
    double norm = 0;
    for (const double v : x) norm += v * v;
    for (int64_t other = 0; other < others; ++other) {
      const auto at = [&](int64_t i) -> double& {
        return a[static_cast<size_t>(rows ? i * n + other : other * n + i)];
      };
      double dot = 0;
      for (int64_t i = 0; i < length; ++i) dot += x[static_cast<size_t>(i)] * at(i);
      for (int64_t i = 0; i < length; ++i) at(i) -= 2 * x[static_cast<size_t>(i)] * dot / norm;
    }
  }
}

}  // namespace

TEST_CASE("svd_batched kernels: known spectra, graded ones included, in every shape") {
  struct Spectrum {
    const char* name;
    std::function<double(int64_t)> value;
  };
  const Spectrum spectra[] = {
      {"slow", [](int64_t i) { return 1 / std::sqrt(1.0 + static_cast<double>(i)); }},
      {"all equal", [](int64_t) { return 3.0; }},
      {"two clusters", [](int64_t i) { return i < 3 ? 2.0 : 1e-3; }},
      {"graded", [](int64_t i) { return std::exp2(-static_cast<double>(i)); }},
      {"rank 2", [](int64_t i) { return i < 2 ? 1.0 : 0.0; }},
      {"tiny", [](int64_t i) { return 1e-30 / (1.0 + static_cast<double>(i)); }},
      {"huge", [](int64_t i) { return 1e30 / (1.0 + static_cast<double>(i)); }},
  };
  for_each_kernel(cpu::jacobi_kernels, [&](const std::string& isa, cpu::JacobiKernel* kernel) {
    CAPTURE(isa);
    const int64_t shapes[][2] = {{1, 1}, {2, 2}, {3, 5}, {8, 8}, {9, 7}, {1, 6}, {17, 17}, {64, 64}, {64, 3}, {31, 64}};
    for (const auto& [m, n] : shapes) {
      for (const Spectrum& spectrum : spectra) {
        CAPTURE(m);
        CAPTURE(n);
        CAPTURE(std::string(spectrum.name));
        constexpr int64_t kCount = 3;
        std::vector<float> a;
        for (uint32_t b = 0; b < kCount; ++b) {
          std::vector<double> one(static_cast<size_t>(m * n), 0.0);
          for (int64_t i = 0; i < std::min(m, n); ++i) one[static_cast<size_t>(i * n + i)] = spectrum.value(i);
          reflect(one, m, n, 10 * b);
          a.insert(a.end(), one.begin(), one.end());
        }
        Batch d(kCount, m, n);
        REQUIRE(d.run(a, kernel) == TERSOR_OK);
        check_decomposition(d, a);
        // Rounding the matrix moves each value by up to its norm (Weyl), of elements up to the largest value each half
        // a unit; the result is rounded once more.
        const double moved = spectrum.value(0) * kEpsilon * (std::sqrt(static_cast<double>(m * n)) + 2);
        for (int64_t b = 0; b < kCount; ++b) {
          for (int64_t r = 0; r < d.k; ++r) CHECK(std::abs(d.value(b, r) - spectrum.value(r)) <= moved);
        }
      }
    }
  });
}

TEST_CASE("svd_batched: columns of very different lengths keep small values exact, relative to themselves") {
  // Powers of two, one in each row and column.
  const int64_t n = 12;
  std::vector<float> a(static_cast<size_t>(n * n), 0.0f);
  for (int64_t j = 0; j < n; ++j)
    a[static_cast<size_t>((n - 1 - j) * n + j)] = std::ldexp(1.0f, static_cast<int>(-9 * j));
  Batch diagonal(1, n, n);
  REQUIRE(diagonal.run(a) == TERSOR_OK);
  for (int64_t j = 0; j < n; ++j) CHECK(diagonal.value(0, j) == std::ldexp(1.0, static_cast<int>(-9 * j)));
  // The determinant is the product of the values: only as exact as the small one is.
  const std::vector<float> graded{1, 1, 1e-12f, -2e-12f};
  Batch two(1, 2, 2);
  REQUIRE(two.run(graded) == TERSOR_OK);
  CHECK(two.value(0, 0) * two.value(0, 1) == doctest::Approx(3.0 * 1e-12f).epsilon(1e-6));
}

TEST_CASE("svd_batched: equal, dependent and zero columns; zero matrices give columns of the identity") {
  for (const int64_t n : {1, 2, 5, 16, 64}) {
    CAPTURE(n);
    std::vector<float> a(static_cast<size_t>(4 * n * n), 0.0f);
    const auto random = uniform(n, 3);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const auto at = static_cast<size_t>(i * n + j), area = static_cast<size_t>(n * n);
        a[area + at] = 1;
        a[2 * area + at] = random[static_cast<size_t>(i)] * random[static_cast<size_t>(j)];
        a[3 * area + at] = j % 2 == 0 ? static_cast<float>((i * 7 + j * 3) % 5) : 0.0f;
      }
    }
    Batch d(4, n, n);
    REQUIRE(d.run(a) == TERSOR_OK);
    check_decomposition(d, a);
    for (int64_t i = 0; i < n; ++i) {
      CHECK(d.value(0, i) == 0);
      for (int64_t r = 0; r < n; ++r) {
        CHECK(d.left(0, i, r) == (i == r ? 1 : 0));
        CHECK(d.right(0, r, i) == (i == r ? 1 : 0));
      }
      if (i > 0) CHECK(d.value(1, i) <= 1e-14 * static_cast<double>(n));
    }
    CHECK(d.value(1, 0) == doctest::Approx(static_cast<double>(n)).epsilon(1e-7));
  }
}

TEST_CASE("svd_batched: random shapes; same bits on any number of threads, as the matrices one by one") {
  Random random(11);
  for (int round = 0; round < 20; ++round) {
    const int64_t count = random.integer(0, 40), m = random.integer(0, 64), n = random.integer(0, 64);
    CAPTURE(count);
    CAPTURE(m);
    CAPTURE(n);
    const auto a = random.uniforms<float>(count * m * n, -1, 1);
    const auto values = same_for_any_thread_count("svd_batched", [&] {
      Batch d(count, m, n);
      REQUIRE(d.run(a) == TERSOR_OK);
      check_decomposition(d, a);
      return d.u.values();
    });
    if (count == 0 || values.empty()) continue;
    const int64_t b = count - 1;
    Batch one(1, m, n);
    REQUIRE(one.run({a.begin() + static_cast<std::ptrdiff_t>(b * m * n), a.end()}) == TERSOR_OK);
    check_same_bits("alone", one.u.values(), {values.end() - std::ssize(one.u.values()), values.end()});
  }
}

TEST_CASE("svd_batched agrees with svd") {
  const int64_t count = 5, m = 24, n = 15;
  const auto a = uniform(count * m * n, 8);
  Batch d(count, m, n);
  REQUIRE(d.run(a) == TERSOR_OK);
  for (int64_t b = 0; b < count; ++b) {
    Context context;
    const F32 one({m, n}, {a.begin() + static_cast<std::ptrdiff_t>(b * m * n),
                           a.begin() + static_cast<std::ptrdiff_t>((b + 1) * m * n)});
    const F32 u({m, n}), s({n}), vt({n, n});
    REQUIRE(cpu::svd(&context, one, u, s, vt) == TERSOR_OK);
    for (int64_t r = 0; r < n; ++r) {
      CHECK(d.value(b, r) == doctest::Approx(static_cast<double>(s[static_cast<size_t>(r)])).epsilon(1e-6));
      for (int64_t i = 0; i < m; ++i) CHECK(std::abs(d.left(b, i, r) - u[static_cast<size_t>(i * n + r)]) <= 1e-4);
    }
  }
}

TEST_CASE("svd_batched: NaN, infinity, large matrices and a cancel request are refused") {
  for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    std::vector<float> a(2 * 3 * 4, 1.0f);
    a[12 + 4 + 2] = bad;
    Batch d(2, 3, 4);
    CHECK(d.run(a) == TERSOR_NOT_FINITE);
    CHECK(std::string(d.context.message).find("at a[1, 1, 2]") != std::string::npos);
  }
  Batch large(1, 65, 2);
  CHECK(large.run(std::vector<float>(130, 1.0f)) == TERSOR_OUT_OF_RANGE);
  Batch d(2, 3, 4);
  d.context.flag = 1;
  CHECK(d.run(std::vector<float>(24, 1.0f)) == TERSOR_CANCELLED);
}

}  // namespace tersor::test
