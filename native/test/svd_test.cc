#include "cpu/linalg/svd.h"

#include <cstdio>
#include <limits>
#include <string>

#include "typed.h"

namespace tersor::test {
namespace {

struct Decomposition {
  int64_t m, n, k;
  F32 u, s, vt;

  Decomposition(cpu::SvdKernel* kernel, int64_t rows, int64_t columns, const std::vector<float>& values)
      : m(rows), n(columns), k(std::min(m, n)), u({m, k}), s({k}), vt({k, n}) {
    Context context;
    const F32 a({m, n}, values);
    REQUIRE(cpu::svd_with(kernel, &context, a, u, s, vt) == TERSOR_OK);
  }

  double u_at(int64_t i, int64_t j) const { return u[static_cast<size_t>(i * k + j)]; }
  double vt_at(int64_t j, int64_t i) const { return vt[static_cast<size_t>(j * n + i)]; }
  double s_at(int64_t j) const { return s[static_cast<size_t>(j)]; }

  // ||a - u_r diag(s_r) vt_r||_F over the first r singular values.
  double error(const std::vector<float>& a, int64_t rank) const {
    double sum = 0;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double left = a[static_cast<size_t>(i * n + j)];
        for (int64_t r = 0; r < rank; ++r) left -= u_at(i, r) * s_at(r) * vt_at(r, j);
        sum += left * left;
      }
    }
    return std::sqrt(sum);
  }

  // Largest deviation of u^T u and vt vt^T from the identity.
  double orthogonality() const {
    double worst = 0;
    for (int64_t p = 0; p < k; ++p) {
      for (int64_t q = 0; q < k; ++q) {
        double in_u = p == q ? -1 : 0, in_v = in_u;
        for (int64_t i = 0; i < m; ++i) in_u += u_at(i, p) * u_at(i, q);
        for (int64_t i = 0; i < n; ++i) in_v += vt_at(p, i) * vt_at(q, i);
        worst = std::max({worst, std::fabs(in_u), std::fabs(in_v)});
      }
    }
    return worst;
  }
};

double norm(const std::vector<float>& a) {
  double sum = 0;
  for (const float v : a) sum += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(sum);
}

// What must hold for any matrix.
void check_decomposition(const std::string& what, const Decomposition& d, const std::vector<float>& a) {
  CAPTURE(what);
  CAPTURE(d.m);
  CAPTURE(d.n);
  // Every factor is its float64 value rounded once: eps relative to each column's norm, three factors.
  CHECK(d.error(a, d.k) <= 4 * kEpsilon * norm(a));
  CHECK(d.orthogonality() <= 4 * kEpsilon);
  for (int64_t j = 0; j < d.k; ++j) {
    CHECK(d.s_at(j) >= 0);
    if (j > 0) CHECK(d.s_at(j) <= d.s_at(j - 1));
    double largest = 0;
    for (int64_t i = 0; i < d.m; ++i) {
      if (std::fabs(d.u_at(i, j)) > std::fabs(largest)) largest = d.u_at(i, j);
    }
    CHECK(largest > 0);
  }
}

}  // namespace

TEST_CASE("svd: every kernel, tall, wide, square and thin shapes") {
  for_each_kernel(cpu::svd_kernels, [](const std::string& isa, cpu::SvdKernel* kernel) {
    const int64_t shapes[][2] = {{1, 1},   {1, 9},   {9, 1},   {2, 2},   {15, 15},
                                 {16, 17}, {40, 13}, {13, 40}, {64, 64}, {100, 30}};
    for (const auto& [m, n] : shapes) {
      const auto a = uniform(m * n, static_cast<uint32_t>(m + 100 * n));
      check_decomposition(isa, Decomposition(kernel, m, n, a), a);
    }
  });
}

TEST_CASE("svd: a matrix with known singular values") {
  // [[3, 0], [4, 5]]: singular values sqrt(45) and sqrt(5), u = [1, 3] / sqrt(10) and [3, -1] / sqrt(10),
  // v = [1, 1] / sqrt(2) and [1, -1] / sqrt(2).
  for_each_kernel(cpu::svd_kernels, [](const std::string& isa, cpu::SvdKernel* kernel) {
    const Decomposition d(kernel, 2, 2, {3, 0, 4, 5});
    const double t = 1 / std::sqrt(10.0), h = 1 / std::sqrt(2.0);
    check_close(isa + " s", d.s.values(), {std::sqrt(45.0), std::sqrt(5.0)}, 8 * kEpsilon);
    check_close(isa + " u", d.u.values(), {t, 3 * t, 3 * t, -t}, 2 * kEpsilon);
    check_close(isa + " vt", d.vt.values(), {h, h, h, -h}, 2 * kEpsilon);
  });
}

TEST_CASE("svd: truncation error is the tail of the singular values (Eckart-Young)") {
  const int64_t m = 50, n = 30;
  const auto a = uniform(m * n, 5);
  const Decomposition d(cpu::svd_kernels.best(), m, n, a);
  for (const int64_t rank : {0, 1, 10, 29, 30}) {
    double tail = 0;
    for (int64_t j = rank; j < d.k; ++j) tail += d.s_at(j) * d.s_at(j);
    CHECK(std::fabs(d.error(a, rank) - std::sqrt(tail)) <= 4 * kEpsilon * norm(a));
  }
}

TEST_CASE("svd: rank-deficient, repeated, badly scaled and zero matrices") {
  for_each_kernel(cpu::svd_kernels, [](const std::string& isa, cpu::SvdKernel* kernel) {
    const int64_t m = 40, n = 25;
    std::vector<float> rank_two(static_cast<size_t>(m * n)), identity(rank_two.size(), 0.0f);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        rank_two[static_cast<size_t>(i * n + j)] = static_cast<float>(i % 5 - 2) * static_cast<float>(j % 3) + 1.0f;
        if (i == j) identity[static_cast<size_t>(i * n + j)] = 1.0f;
      }
    }
    const Decomposition low(kernel, m, n, rank_two);
    check_decomposition(isa + " rank 2", low, rank_two);
    CHECK(low.s_at(1) > 1);
    for (int64_t j = 2; j < n; ++j) CHECK(low.s_at(j) <= 1e-12 * low.s_at(0));

    check_decomposition(isa + " identity", Decomposition(kernel, m, n, identity), identity);
    const std::vector<float> zero(rank_two.size(), 0.0f);
    check_decomposition(isa + " zero", Decomposition(kernel, m, n, zero), zero);

    for (const float scale : {1e-30f, 1e30f}) {
      auto scaled = uniform(m * n, 6);
      for (float& v : scaled) v *= scale;
      check_decomposition(isa + " scaled", Decomposition(kernel, m, n, scaled), scaled);
    }
    auto graded = uniform(m * n, 7);
    for (size_t i = 0; i < graded.size(); ++i) graded[i] *= std::exp2(-static_cast<float>(i % static_cast<size_t>(n)));
    check_decomposition(isa + " graded", Decomposition(kernel, m, n, graded), graded);
  });
}

TEST_CASE("svd: nothing to decompose, and values that are not finite") {
  Context context;
  const F32 empty({0, 4}), u({0, 0}), s({0}), vt({0, 4});
  CHECK(cpu::svd(&context, empty, u, s, vt) == TERSOR_OK);

  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    std::vector<float> values(6, 1.0f);
    values[4] = bad;
    const F32 a({2, 3}, values), u2({2, 2}), s2({2}), vt2({2, 3});
    CHECK(cpu::svd(&context, a, u2, s2, vt2) == TERSOR_NOT_FINITE);
    CHECK(std::string(context.message).find("at a[1, 1]") != std::string::npos);
  }
}

TEST_CASE("svd: a raised cancel flag is heard before the work starts") {
  Context context;
  context.flag = 1;
  const F32 a({1, 1}, {1}), u({1, 1}), s({1}), vt({1, 1});
  CHECK(cpu::svd(&context, a, u, s, vt) == TERSOR_CANCELLED);
}

TEST_CASE("eigen_version: three numbers") {
  int world = 0, major = 0, minor = 0;
  CHECK(std::sscanf(cpu::eigen_version(), "%d.%d.%d", &world, &major, &minor) == 3);
  CHECK(world == 3);
}

}  // namespace tersor::test
