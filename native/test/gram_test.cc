#include "cpu/gemm/gram.h"

#include <array>
#include <string>

#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

using cpu::gram_kernels;
using cpu::GramKernel;

struct Case {
  int64_t rows, columns;
  bool accumulate;

  std::string name() const {
    return std::to_string(rows) + " x " + std::to_string(columns) + (accumulate ? " accumulate" : "");
  }
};

// Upper half of what a kernel makes of x and h; the lower half is 0.
std::vector<float> run(GramKernel* kernel, const Case& s, const std::vector<float>& x, const std::vector<float>& h) {
  const F32 input({s.rows, s.columns}, x), output({s.columns, s.columns}, h);
  CHECK(kernel({.rows = s.rows,
                .columns = s.columns,
                .x = input.data<float>(),
                .h = output.data<float>(),
                .accumulate = s.accumulate,
                .cancel = nullptr}) == TERSOR_OK);
  std::vector<float> values = output.values();
  for (int64_t i = 0; i < s.columns; ++i) {
    for (int64_t j = 0; j < i; ++j) values[static_cast<size_t>(i * s.columns + j)] = 0;
  }
  return values;
}

struct Reference {
  std::vector<double> value, tolerance;

  // Whatever the order of summation, |error| <= (rows + 1) u (|x|^T |x| + |h|) (Higham 2002, section 3.5).
  Reference(const Case& s, const std::vector<float>& x, const std::vector<float>& h) {
    for (int64_t i = 0; i < s.columns; ++i) {
      for (int64_t j = 0; j < s.columns; ++j) {
        const double before = s.accumulate ? h[static_cast<size_t>(i * s.columns + j)] : 0.0;
        double sum = before, size = std::abs(before);
        for (int64_t t = 0; t < s.rows && j >= i; ++t) {
          const double product =
              double{x[static_cast<size_t>(t * s.columns + i)]} * x[static_cast<size_t>(t * s.columns + j)];
          sum += product;
          size += std::abs(product);
        }
        value.push_back(j >= i ? sum : 0);
        tolerance.push_back(1.01 * static_cast<double>(s.rows + 1) * kEpsilon * size);
      }
    }
  }
};

void check_every_kernel(const Case& s) {
  const std::vector<float> x = uniform(s.rows * s.columns, 1), h = uniform(s.columns * s.columns, 2);
  const Reference reference(s, x, h);
  for_each_kernel(gram_kernels, [&](const std::string& isa, GramKernel* kernel) {
    const auto values = same_for_any_thread_count(isa + " " + s.name(), [&] { return run(kernel, s, x, h); });
    check_close(isa + " " + s.name(), values, reference.value, reference.tolerance);
  });
}

TEST_CASE("gram is right for every width, number of rows and blocks of them") {
  for (const int64_t columns : {1, 2, 5, 7, 8, 9, 15, 16, 17, 31, 33, 47, 48, 49, 64, 65, 96, 113, 150}) {
    for (const int64_t rows : {1, 2, 7, 8, 33}) check_every_kernel({rows, columns, rows % 2 == 0});
  }
  for (const int64_t rows : {192, 193, 400, 1000}) check_every_kernel({rows, 70, rows % 2 == 0});
  Random random(5);
  for (int i = 0; i < 20; ++i) {
    check_every_kernel({random.integer(1, 500), random.integer(1, 120), random.integer(0, 1) == 1});
  }
}

TEST_CASE("gram of batches that are added, mirrored at the end") {
  const int64_t n = 75;
  const std::vector<float> first = uniform(40 * n, 1), second = uniform(9 * n, 2);
  std::vector<float> all = first;
  all.insert(all.end(), second.begin(), second.end());
  const Reference reference({49, n, false}, all, {});
  const F32 a({40, n}, first), b({9, n}, second), none({0, n}), h({n, n}, uniform(n * n, 3));
  Context context;
  CHECK(cpu::gram(&context, a, 0, 0, h) == TERSOR_OK);
  CHECK(cpu::gram(&context, b, 1, 0, h) == TERSOR_OK);
  CHECK(cpu::gram(&context, none, 1, 1, h) == TERSOR_OK);
  std::vector<double> value = reference.value, tolerance = reference.tolerance;
  for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
    for (size_t j = 0; j < i; ++j) {
      value[i * n + j] = value[j * n + i];
      tolerance[i * n + j] = tolerance[j * n + i];
      CHECK(h[i * n + j] == h[j * n + i]);
    }
  }
  check_close("two batches", h.values(), value, tolerance);
}

TEST_CASE("gram of no rows is zero, or what was there; of no columns nothing") {
  const F32 none({0, 3}), narrow({4, 0}), empty({0, 0}), h({3, 3}, std::vector<float>(9, 2));
  Context context;
  CHECK(cpu::gram(&context, none, 1, 0, h) == TERSOR_OK);
  CHECK(h.values() == std::vector<float>(9, 2));
  CHECK(cpu::gram(&context, none, 0, 0, h) == TERSOR_OK);
  CHECK(h.values() == std::vector<float>(9, 0));
  CHECK(cpu::gram(&context, narrow, 0, 1, empty) == TERSOR_OK);
}

TEST_CASE("gram passes NaN and infinity on to the rows and columns of their column") {
  const int64_t n = 60, rows = 5, bad = 20;
  std::vector<float> x(static_cast<size_t>(rows * n), 1);
  for (const float value : {NAN, INFINITY}) {
    x[static_cast<size_t>(2 * n + bad)] = value;
    for_each_kernel(gram_kernels, [&](const std::string& isa, GramKernel* kernel) {
      INFO("kernel ", isa);
      const std::vector<float> h = run(kernel, {rows, n, false}, x, std::vector<float>(static_cast<size_t>(n * n)));
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = i; j < n; ++j) {
          const float got = h[static_cast<size_t>(i * n + j)];
          CAPTURE(i);
          CAPTURE(j);
          if (i != bad && j != bad) CHECK(got == rows);
          if (i == bad || j == bad) CHECK(std::isnan(got) == std::isnan(value));
          if (i == bad || j == bad) CHECK_FALSE(std::isfinite(got));
        }
      }
    });
  }
}

TEST_CASE("a cancelled gram says so") {
  const F32 x({300, 100}), h({100, 100});
  Context context;
  context.flag = 1;
  CHECK(cpu::gram(&context, x, 0, 1, h) == TERSOR_CANCELLED);
  CHECK(std::string(context.message) == "expected to finish, got a cancel request");
}

}  // namespace
}  // namespace tersor::test
