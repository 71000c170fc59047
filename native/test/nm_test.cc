#include <algorithm>
#include <limits>
#include <numeric>
#include <string>

#include "cpu/operations.h"
#include "cpu/sparse/nm_gemm.h"
#include "typed.h"

namespace tersor::test {
namespace {

struct Pattern {
  int32_t keep, group;
};

std::string describe(const Pattern& p, int64_t m, int64_t n, int64_t k) {
  return std::to_string(p.keep) + ":" + std::to_string(p.group) + " " + std::to_string(m) + "x" + std::to_string(n) +
         "x" + std::to_string(k);
}

// w f32 [n, k] with at most `keep` nonzeros, often fewer, in every group.
std::vector<float> random_weight(Random& random, const Pattern& p, int64_t n, int64_t k) {
  std::vector<float> w(static_cast<size_t>(n * k), 0.0f);
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t first = 0; first < k; first += p.group) {
      for (int32_t s = 0; s < p.keep; ++s) {
        const int64_t column = first + random.integer(0, p.group - 1);
        if (column < k) w[static_cast<size_t>(row * k + column)] = static_cast<float>(random.uniform(-1, 1));
      }
    }
  }
  return w;
}

// A weight in the backend's layout.
struct Packed {
  Typed<uint8_t> bytes;
  tersor_nm nm;

  Packed(const std::vector<float>& w, const Pattern& p, int64_t n, int64_t k)
      : bytes({cpu::nm_bytes(n, k, p.keep, p.group)}),
        nm{*static_cast<const tersor_tensor*>(bytes), n, k, p.keep, p.group, 32} {
    Context context;
    REQUIRE(cpu::pack_nm(&context, F32({n, k}, w), p.keep, p.group, bytes) == TERSOR_OK);
  }
};

std::vector<float> unpack(const Packed& packed) {
  Context context;
  const F32 y({packed.nm.rows, packed.nm.cols});
  REQUIRE(cpu::unpack_nm(&context, &packed.nm, nullptr, y) == TERSOR_OK);
  return y.values();
}

void check_product(const std::string& what, cpu::NmKernel* kernel, const Pattern& p, int64_t m, int64_t n, int64_t k,
                   uint32_t seed) {
  Random random(seed);
  const auto w = random_weight(random, p, n, k), x = random.uniforms<float>(m * k, -1, 1),
             bias = random.uniforms<float>(n, -1, 1), residual = random.uniforms<float>(m * n, -1, 1);
  const bool relu = seed % 2 == 1;
  std::vector<double> expected, tolerance;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      const double add = bias[static_cast<size_t>(j)], after = residual[static_cast<size_t>(i * n + j)];
      double sum = add, size = std::fabs(add) + std::fabs(after);
      for (int64_t c = 0; c < k; ++c) {
        const double term = double{x[static_cast<size_t>(i * k + c)]} * double{w[static_cast<size_t>(j * k + c)]};
        sum += term;
        size += std::fabs(term);
      }
      expected.push_back((relu ? std::max(sum, 0.0) : sum) + after);
      // Any order of summation (Higham 2002, section 3.5).
      tolerance.push_back(1.01 * static_cast<double>(k + 3) * kEpsilon * size);
    }
  }
  const Packed packed(w, p, n, k);
  const F32 tx({m, k}, x), tb({n}, bias), tr({m, n}, residual), y({m, n});
  const tersor_epilogue epilogue{tb, relu ? TERSOR_RELU : TERSOR_IDENTITY, tr};
  const auto run = [&] {
    Context context;
    REQUIRE(cpu::nm_gemm_with(kernel, &context, tx, &packed.nm, &epilogue, y) == TERSOR_OK);
    return y.values();
  };
  check_close(what, same_for_any_thread_count(what, run), expected, tolerance);
}

}  // namespace

TEST_CASE("nm_gemm: every kernel, pattern and ragged shape against float64") {
  for_each_kernel(cpu::nm_gemm_kernels, [](const std::string& isa, cpu::NmKernel* kernel) {
    uint32_t seed = 1;
    for (const Pattern p : {Pattern{2, 4}, {4, 8}, {1, 4}, {1, 1}, {3, 5}, {8, 16}, {13, 16}, {1, 2}}) {
      for (const int64_t m : {0, 1, 2, 15, 17, 65}) {
        for (const int64_t n : {0, 1, 16, 37}) {
          for (const int64_t k : {0, 1, 6, 64, 131}) {
            check_product(isa + " " + describe(p, m, n, k), kernel, p, m, n, k, seed++);
          }
        }
      }
    }
  });
}

TEST_CASE("nm_gemm: random patterns and shapes") {
  for_each_kernel(cpu::nm_gemm_kernels, [](const std::string& isa, cpu::NmKernel* kernel) {
    Random random(77);
    for (uint32_t round = 0; round < 60; ++round) {
      const auto group = static_cast<int32_t>(random.integer(1, 16));
      const Pattern p{static_cast<int32_t>(random.integer(1, group)), group};
      const int64_t m = random.integer(1, 150), n = random.integer(1, 90), k = random.integer(1, 260);
      check_product(isa + " " + describe(p, m, n, k), kernel, p, m, n, k, round);
    }
  });
}

TEST_CASE("nm_gemm: enough panels for several chunks of work") {
  for_each_kernel(cpu::nm_gemm_kernels, [](const std::string& isa, cpu::NmKernel* kernel) {
    check_product(isa, kernel, {2, 4}, 1, 1040, 1028, 1);
    check_product(isa, kernel, {2, 4}, 130, 400, 520, 2);
  });
}

TEST_CASE("nm_gemm: NaN and infinity reach the rows with a place for their column, and no others") {
  const float infinity = std::numeric_limits<float>::infinity();
  for_each_kernel(cpu::nm_gemm_kernels, [&](const std::string& isa, cpu::NmKernel* kernel) {
    for (const int64_t m : {1, 70}) {
      // Row 0 keeps columns 0 and 1 of each group, row 1 columns 2 and 3; the last group is short.
      const std::vector<float> w = {1, 2, 0, 0, 3, 4, 0, 0, 0, 1, 2, 0, 0, 3};
      const Packed packed(w, {2, 4}, 2, 7);
      std::vector<float> x(static_cast<size_t>(7 * m), 1.0f);
      x[2] = std::numeric_limits<float>::quiet_NaN();
      if (m > 1) x[static_cast<size_t>(7 * (m - 1) + 5)] = infinity;
      const F32 y({m, 2});
      Context context;
      REQUIRE(cpu::nm_gemm_with(kernel, &context, F32({m, 7}, x), &packed.nm, nullptr, y) == TERSOR_OK);
      CAPTURE(isa);
      CHECK(y[0] == 10);
      CHECK(std::isnan(y[1]));
      if (m == 1) continue;
      CHECK(y[static_cast<size_t>(2 * m - 2)] == infinity);
      CHECK(y[static_cast<size_t>(2 * m - 1)] == 6);
      CHECK(y[2] == 10);
      CHECK(y[3] == 6);
    }
  });
}

TEST_CASE("nm_gemm: cancelled before it is done") {
  for_each_kernel(cpu::nm_gemm_kernels, [](const std::string&, cpu::NmKernel* kernel) {
    for (const int64_t m : {1, 200}) {
      const Packed packed(std::vector<float>(64 * 64, 0.0f), {2, 4}, 64, 64);
      const F32 x = F32({m, 64}, std::vector<float>(static_cast<size_t>(m * 64))), y({m, 64});
      Context context;
      context.flag = 1;
      CHECK(cpu::nm_gemm_with(kernel, &context, x, &packed.nm, nullptr, y) == TERSOR_CANCELLED);
    }
  });
}

TEST_CASE("pack_nm and unpack_nm: what goes in comes out, whole or by rows") {
  Random random(5);
  for (int round = 0; round < 60; ++round) {
    const auto group = static_cast<int32_t>(random.integer(1, 16));
    const Pattern p{static_cast<int32_t>(random.integer(1, group)), group};
    const int64_t n = random.integer(0, 40), k = random.integer(0, 70);
    const auto w = random_weight(random, p, n, k);
    const Packed packed(w, p, n, k);
    check_same_bits(describe(p, 0, n, k), unpack(packed), w);
    if (n == 0) continue;
    const auto ids = random.integers<int32_t>(5, 0, n - 1);
    const F32 y({5, k});
    Context context;
    REQUIRE(cpu::unpack_nm(&context, &packed.nm, I32({5}, ids), y) == TERSOR_OK);
    for (int64_t i = 0; i < 5; ++i) {
      const auto row = w.begin() + ids[static_cast<size_t>(i)] * k;
      const auto rows = y.values();
      CHECK(std::equal(row, row + k, rows.begin() + i * k));
    }
  }
}

TEST_CASE("pack_nm: too many nonzeros; unpack_nm: an id outside") {
  Context context;
  std::vector<float> w(3 * 10, 0.0f);
  w[2 * 10 + 8] = w[2 * 10 + 9] = w[1 * 10 + 4] = w[1 * 10 + 5] = w[1 * 10 + 7] = 1;
  const Typed<uint8_t> packed({cpu::nm_bytes(3, 10, 2, 4)});
  CHECK(cpu::pack_nm(&context, F32({3, 10}, w), 2, 4, packed) == TERSOR_INVALID_ARGUMENT);
  CHECK(std::string(context.message) == "expected at most 2 nonzeros of 4 columns, got more, at w[1, 4]");

  const Packed good(std::vector<float>(30, 0.0f), {2, 4}, 3, 10);
  const F32 y({2, 10});
  CHECK(cpu::unpack_nm(&context, &good.nm, I32({2}, {0, 3}), y) == TERSOR_OUT_OF_RANGE);
  CHECK(std::string(context.message) == "expected 0 <= id < 3, got 3, at ids[1]");
}

TEST_CASE("nm_gemm: a packed weight of any bytes stays inside its memory") {
  for_each_kernel(cpu::nm_gemm_kernels, [](const std::string&, cpu::NmKernel* kernel) {
    Random random(9);
    for (const Pattern p : {Pattern{2, 4}, {3, 5}, {16, 16}}) {
      for (const int64_t m : {1, 100}) {
        const int64_t n = 33, k = 47;
        const int64_t bytes = cpu::nm_bytes(n, k, p.keep, p.group);
        const Typed<uint8_t> packed({bytes}, random.integers<uint8_t>(bytes, 0, 255));
        const tersor_nm w{*static_cast<const tersor_tensor*>(packed), n, k, p.keep, p.group, 32};
        const F32 x({m, k}, random.uniforms<float>(m * k, -1, 1)), y({m, n}), dense({n, k});
        Context context;
        CHECK(cpu::nm_gemm_with(kernel, &context, x, &w, nullptr, y) == TERSOR_OK);
        CHECK(cpu::unpack_nm(&context, &w, nullptr, dense) == TERSOR_OK);
      }
    }
  });
}

TEST_CASE("nm_mask: the largest of every group, against sorting") {
  Random random(11);
  for (int round = 0; round < 200; ++round) {
    const int64_t group = round % 3 == 0 ? 4 : random.integer(1, 16), keep = random.integer(1, group);
    const int64_t rows = random.integer(0, 9), columns = random.integer(0, 50);
    // Few different values, so that ties are common; both signs.
    std::vector<float> x = random.integers<float>(rows * columns, -3, 3);
    if (!x.empty()) x[0] = -std::numeric_limits<float>::infinity();
    std::vector<float> expected(x.size(), 0.0f);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t first = 0; first < columns; first += group) {
        std::vector<int64_t> order(static_cast<size_t>(std::min(group, columns - first)));
        std::iota(order.begin(), order.end(), row * columns + first);
        std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
          return std::fabs(x[static_cast<size_t>(a)]) > std::fabs(x[static_cast<size_t>(b)]);
        });
        for (size_t i = 0; i < order.size() && i < static_cast<size_t>(keep); ++i) {
          expected[static_cast<size_t>(order[i])] = 1;
        }
      }
    }
    const F32 tx({rows, columns}, x), mask({rows, columns});
    const std::string what = std::to_string(keep) + ":" + std::to_string(group);
    const auto run = [&] {
      Context context;
      REQUIRE(cpu::nm_mask(&context, tx, static_cast<int32_t>(keep), static_cast<int32_t>(group), mask) == TERSOR_OK);
      return mask.values();
    };
    check_same_bits(what, same_for_any_thread_count(what, run), expected);
  }
}

TEST_CASE("nm_mask: NaN is an error, wherever it stands") {
  for (const int64_t at : {0, 7, 8, 9, 10}) {
    std::vector<float> x(11, 1.0f);
    x[static_cast<size_t>(at)] = std::numeric_limits<float>::quiet_NaN();
    Context context;
    const F32 mask({1, 11});
    CHECK(cpu::nm_mask(&context, F32({1, 11}, x), 2, 4, mask) == TERSOR_NOT_FINITE);
    CHECK(std::string(context.message) == "expected numbers, got nan, at x[0, " + std::to_string(at) + "]");
  }
}

}  // namespace tersor::test
