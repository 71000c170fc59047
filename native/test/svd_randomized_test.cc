#include "cpu/linalg/svd_randomized.h"

#include <functional>
#include <limits>
#include <string>

#include "typed.h"

namespace tersor::test {
namespace {

// v -= 2 x (x^T v) / (x^T x), down the rows or along the columns of a[m,n].
void reflect(std::vector<double>& a, int64_t m, int64_t n, bool rows, uint32_t seed) {
  const int64_t length = rows ? m : n, others = rows ? n : m;
  const auto x = Random(seed).uniforms<double>(length, -1, 1);
  double norm = 0;
  for (const double v : x) norm += v * v;
  for (int64_t other = 0; other < others; ++other) {
    const auto at = [&](int64_t i) -> double& { return a[static_cast<size_t>(rows ? i * n + other : other * n + i)]; };
    double dot = 0;
    for (int64_t i = 0; i < length; ++i) dot += x[static_cast<size_t>(i)] * at(i);
    for (int64_t i = 0; i < length; ++i) at(i) -= 2 * x[static_cast<size_t>(i)] * dot / norm;
  }
}

// A dense matrix with these singular values, rounded to float.
std::vector<float> with_spectrum(int64_t m, int64_t n, const std::function<double(int64_t)>& spectrum) {
  std::vector<double> a(static_cast<size_t>(m * n), 0.0);
  for (int64_t i = 0; i < std::min(m, n); ++i) a[static_cast<size_t>(i * n + i)] = spectrum(i);
  for (uint32_t i = 0; i < 4; ++i) reflect(a, m, n, i % 2 == 0, 10 + i);
  return std::vector<float>(a.begin(), a.end());
}

struct Truncated {
  int64_t m, n, k;
  F32 u, s, vt;

  Truncated(int64_t rows, int64_t columns, int64_t rank, const std::vector<float>& a, int32_t power = 3)
      : m(rows), n(columns), k(rank), u({m, k}), s({k}), vt({k, n}) {
    Context context;
    const F32 input({m, n}, a);
    const tersor_svd_randomized_options options = {5, 16, power};
    const tersor_status status = cpu::svd_randomized(&context, input, &options, u, s, vt);
    CHECK_MESSAGE(status == TERSOR_OK, context.message);
  }

  double error(const std::vector<float>& a) const {
    double sum = 0;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double left = a[static_cast<size_t>(i * n + j)];
        for (int64_t r = 0; r < k; ++r) {
          left -= static_cast<double>(u[static_cast<size_t>(i * k + r)]) * s[static_cast<size_t>(r)] *
                  vt[static_cast<size_t>(r * n + j)];
        }
        sum += left * left;
      }
    }
    return std::sqrt(sum);
  }

  double orthogonality() const {
    double worst = 0;
    for (int64_t p = 0; p < k; ++p) {
      for (int64_t q = 0; q <= p; ++q) {
        double in_u = p == q ? -1 : 0, in_v = in_u;
        for (int64_t i = 0; i < m; ++i) {
          in_u += static_cast<double>(u[static_cast<size_t>(i * k + p)]) * u[static_cast<size_t>(i * k + q)];
        }
        for (int64_t i = 0; i < n; ++i) {
          in_v += static_cast<double>(vt[static_cast<size_t>(p * n + i)]) * vt[static_cast<size_t>(q * n + i)];
        }
        worst = std::max({worst, std::fabs(in_u), std::fabs(in_v)});
      }
    }
    return worst;
  }
};

struct Spectrum {
  const char* name;
  std::function<double(int64_t)> value;
};

const Spectrum kSpectra[] = {
    {"slow", [](int64_t i) { return 1 / std::sqrt(1.0 + static_cast<double>(i)); }},
    {"flat", [](int64_t) { return 1.0; }},
    {"at the edge of a float Gram matrix",
     [](int64_t i) { return i == 0 ? 1.0 : 0.023 - 1e-5 * static_cast<double>(i); }},
    {"at the edge of vectors that need no mending",
     [](int64_t i) { return i == 0 ? 1.0 : 0.142 - 1e-5 * static_cast<double>(i); }},
    {"one outlier", [](int64_t i) { return i == 0 ? 1000.0 : 1 / std::sqrt(static_cast<double>(i)); }},
    {"more equal values than the rank", [](int64_t i) { return i < 40 ? 1.0 : 0.01; }},
    {"geometric", [](int64_t i) { return std::exp2(-static_cast<double>(i)); }},
    {"rank 3", [](int64_t i) { return i < 3 ? 1.0 : 0.0; }},
    {"zero", [](int64_t) { return 0.0; }},
    {"tiny", [](int64_t i) { return 1e-30 / (1.0 + static_cast<double>(i)); }},
    {"huge", [](int64_t i) { return 1e30 / (1.0 + static_cast<double>(i)); }},
};

}  // namespace

TEST_CASE("svd_randomized: within 2 % of the least error and orthonormal to 1e-5, whatever the spectrum and the way") {
  for (const Spectrum& spectrum : kSpectra) {
    // Products with A and the last two bases, with A^T A, wide, and a basis of all columns.
    const int64_t shapes[][3] = {{420, 400, 10}, {420, 400, 16}, {400, 390, 1}, {300, 120, 8}, {300, 80, 30},
                                 {90, 310, 7},   {40, 40, 30},   {30, 9, 9},    {1, 5, 1}};
    for (const auto& [m, n, k] : shapes) {
      CAPTURE(std::string(spectrum.name));
      CAPTURE(m);
      CAPTURE(n);
      const auto a = with_spectrum(m, n, spectrum.value);
      double tail = 0, all = 0;
      for (int64_t i = 0; i < std::min(m, n); ++i) {
        const double square = spectrum.value(i) * spectrum.value(i);
        all += square;
        tail += i >= k ? square : 0;
      }
      for (const int32_t power : {2, 3}) {
        CAPTURE(power);
        const Truncated d(m, n, k, a, power);
        // Products of n terms in float leave an error of some 1e-6 of the norm.
        CHECK(d.error(a) <= 1.02 * std::sqrt(tail) + 2e-6 * std::sqrt(all));
        CHECK(d.orthogonality() <= 1e-5);
        for (int64_t j = 0; j < k; ++j) {
          const auto at = static_cast<size_t>(j);
          CHECK(d.s[at] >= 0);
          if (j > 0) CHECK(d.s[at] <= d.s[at - 1]);
          CHECK(d.s[at] <= spectrum.value(j) + 1e-5 * spectrum.value(0));
        }
      }
    }
  }
}

TEST_CASE("svd_randomized: same bits on any number of threads, other bits for another seed only in the last places") {
  const int64_t m = 700, n = 260, k = 20;
  const auto a = with_spectrum(m, n, kSpectra[0].value);
  const auto values = same_for_any_thread_count("svd_randomized", [&] { return Truncated(m, n, k, a).s.values(); });
  for (int64_t i = 0; i < k / 2; ++i) {
    CHECK(std::fabs(values[static_cast<size_t>(i)] - kSpectra[0].value(i)) <= 1e-3 * kSpectra[0].value(i));
  }
}

TEST_CASE("svd_randomized: what cannot be done is refused") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Context context;
  const F32 a({2, 3}, {1, 2, 3, 4, nan, 6}), fine({2, 3}, {1, 2, 3, 4, 5, 6});
  const F32 u({2, 1}), s({1}), vt({1, 3});
  const tersor_svd_randomized_options options = {1, 4, 2};
  CHECK(cpu::svd_randomized(&context, a, &options, u, s, vt) == TERSOR_NOT_FINITE);
  CHECK(std::string(context.message).find("at a[1, 1]") != std::string::npos);
  const F32 u3({2, 3}), s3({3}), vt3({3, 3});
  CHECK(cpu::svd_randomized(&context, fine, &options, u3, s3, vt3) == TERSOR_OUT_OF_RANGE);
  const tersor_svd_randomized_options idle = {1, 4, 0};
  CHECK(cpu::svd_randomized(&context, fine, &idle, u, s, vt) == TERSOR_OUT_OF_RANGE);
  const F32 u0({2, 0}), s0({0}), vt0({0, 3});
  CHECK(cpu::svd_randomized(&context, fine, &options, u0, s0, vt0) == TERSOR_OK);
  // A matrix whose values are not looked at one by one.
  std::vector<float> many = with_spectrum(300, 280, kSpectra[0].value);
  many[299 * 280 + 279] = nan;
  const F32 tall({300, 280}, many), tall_u({300, 1}), tall_vt({1, 280});
  CHECK(cpu::svd_randomized(&context, tall, &options, tall_u, s, tall_vt) == TERSOR_NOT_FINITE);
  CHECK(std::string(context.message).find("got nan, at a[299, 279]") != std::string::npos);
  context.flag = 1;
  CHECK(cpu::svd_randomized(&context, fine, &options, u, s, vt) == TERSOR_CANCELLED);
}

TEST_CASE("spectral: eigenvectors and orthonormal columns of every kernel") {
  for_each_kernel(cpu::spectral_kernels, [](const std::string& isa, cpu::SpectralKernel* kernel) {
    CAPTURE(isa);
    // [[2, 1], [1, 2]]: 3 along [1, 1], 1 along [1, -1].
    double a[] = {2, 1, 1, 2}, values[2];
    REQUIRE(kernel().symmetric_eigen(a, 2, values));
    CHECK(values[0] == doctest::Approx(3).epsilon(1e-14));
    CHECK(values[1] == doctest::Approx(1).epsilon(1e-14));
    CHECK(std::fabs(a[0] - a[2]) <= 1e-14);
    CHECK(std::fabs(a[1] + a[3]) <= 1e-14);

    const int64_t rows = 50, columns = 7;
    auto x = uniform(rows * columns, 3);
    for (int64_t i = 0; i < rows; ++i) x[static_cast<size_t>(i * columns + 6)] = x[static_cast<size_t>(i * columns)];
    kernel().orthonormal(x.data(), rows, columns, x.data());
    for (int64_t p = 0; p < columns; ++p) {
      for (int64_t q = 0; q <= p; ++q) {
        double dot = p == q ? -1 : 0;
        for (int64_t i = 0; i < rows; ++i) {
          dot += static_cast<double>(x[static_cast<size_t>(i * columns + p)]) * x[static_cast<size_t>(i * columns + q)];
        }
        CHECK(std::fabs(dot) <= 4 * kEpsilon);
      }
    }
  });
}

}  // namespace tersor::test
