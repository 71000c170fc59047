#include "cpu/compress/gptq.h"

#include <limits>
#include <numeric>
#include <string>

#include "typed.h"

namespace tersor::test {
namespace {

using Matrix = std::vector<double>;  // [n, n]

// Upper factor u of the inverse, h^-1 = u^T u, as the paper has it: by Gauss-Jordan and Cholesky, in float64.
Matrix inverse_factor(Matrix h, int64_t n) {
  const auto at = [n](Matrix& m, int64_t i, int64_t j) -> double& { return m[static_cast<size_t>(i * n + j)]; };
  Matrix inverse(h.size(), 0.0), u(h.size(), 0.0);
  for (int64_t i = 0; i < n; ++i) at(inverse, i, i) = 1;
  for (int64_t p = 0; p < n; ++p) {
    const double pivot = at(h, p, p);
    for (int64_t j = 0; j < n; ++j) at(h, p, j) /= pivot, at(inverse, p, j) /= pivot;
    for (int64_t i = 0; i < n; ++i) {
      const double factor = i == p ? 0 : at(h, i, p);
      for (int64_t j = 0; j < n; ++j) {
        at(h, i, j) -= factor * at(h, p, j);
        at(inverse, i, j) -= factor * at(inverse, p, j);
      }
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = i; j < n; ++j) {
      double sum = at(inverse, i, j);
      for (int64_t k = 0; k < i; ++k) sum -= at(u, k, i) * at(u, k, j);
      at(u, i, j) = i == j ? std::sqrt(sum) : sum / at(u, i, i);
    }
  }
  return u;
}

// X^T X of correlated random inputs.
std::vector<float> gram(int64_t tokens, int64_t columns, uint32_t seed) {
  const auto x = Random(seed).uniforms<double>(tokens * columns, -1, 1);
  std::vector<float> h(static_cast<size_t>(columns * columns));
  const auto input = [&](int64_t t, int64_t j) {
    const double common = x[static_cast<size_t>(t * columns)];
    return common + x[static_cast<size_t>(t * columns + j)] * (1 + static_cast<double>(j % 5));
  };
  for (int64_t i = 0; i < columns; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      double sum = 0;
      for (int64_t t = 0; t < tokens; ++t) sum += input(t, i) * input(t, j);
      h[static_cast<size_t>(i * columns + j)] = static_cast<float>(sum);
    }
  }
  return h;
}

struct Case {
  int64_t rows, columns, group_size;
  tersor_code_scales scales;
  bool activation_order;
  tersor_dtype dtype;
};

struct Run {
  Case c;
  int64_t groups;
  int32_t low, high;
  std::vector<float> w, h, scales;
  std::vector<int32_t> zero_points;
  std::vector<uint8_t> codes;

  explicit Run(const Case& given) : c(given), groups((c.columns + c.group_size - 1) / c.group_size) {
    low = c.dtype == TERSOR_I8 ? -127 : 0;
    high = c.dtype == TERSOR_I8 ? 127 : (1 << bits_of(c.dtype)) - 1;
    w = uniform(c.rows * c.columns, static_cast<uint32_t>(c.rows + 7 * c.columns));
    h = gram(c.columns + 40, c.columns, static_cast<uint32_t>(c.columns));
    Random random(5);
    const bool found = c.scales != TERSOR_SCALES_GIVEN;
    scales = found ? std::vector<float>(static_cast<size_t>(c.rows * groups), 0.0f)
                   : random.uniforms<float>(c.rows * groups, 1.6 / (high - low), 2.2 / (high - low));
    zero_points.assign(scales.size(), (low + high + 1) / 2);
  }

  void call(cpu::SecondOrderKernel* kernel) {
    Context context;
    const F32 weight({c.rows, c.columns}, w), hessian({c.columns, c.columns}, h), s({c.rows, groups}, scales);
    const I32 z({c.rows, groups}, zero_points);
    const Typed<uint8_t> out({c.rows, c.columns}, c.dtype);
    const tersor_affine affine = {s, z, nullptr, low, high, c.group_size};
    const tersor_gptq_options options = {0.01f, c.activation_order ? 1 : 0, c.scales};
    const tersor_status status = cpu::gptq_with(kernel, &context, weight, hessian, &options, &affine, out);
    CHECK_MESSAGE(status == TERSOR_OK, context.message);
    codes = out.values();
    scales = s.values();
    zero_points = z.values();
  }

  int32_t code(int64_t row, int64_t column) const {
    const int bits = c.dtype == TERSOR_I8 ? 8 : bits_of(c.dtype);
    const int64_t stride = row_bytes(c.dtype, c.columns);
    if (c.dtype == TERSOR_I8) return static_cast<int8_t>(codes[static_cast<size_t>(row * stride + column)]);
    int32_t value = 0;
    for (int bit = 0; bit < bits; ++bit) {
      const int64_t at = column * bits + bit;
      value |= (codes[static_cast<size_t>(row * stride + at / 8)] >> (at % 8) & 1) << bit;
    }
    return value;
  }

  // Follows the paper in float64 on the codes that came out: every one must be what its column rounds to by then, and
  // scales that were found must cover the group as it was by then.
  void check(const std::string& what) const {
    CAPTURE(what);
    const int64_t n = c.columns;
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    const auto diagonal = [&](int64_t j) { return h[static_cast<size_t>(j * n + j)]; };
    if (c.activation_order) {
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return diagonal(a) > diagonal(b); });
    }
    double mean = 0;
    for (int64_t j = 0; j < n; ++j) mean += diagonal(j) / static_cast<double>(n);
    Matrix damped(static_cast<size_t>(n * n));
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const int64_t from = order[static_cast<size_t>(i)] * n + order[static_cast<size_t>(j)];
        damped[static_cast<size_t>(i * n + j)] = h[static_cast<size_t>(from)] + (i == j ? 0.01f * mean : 0);
      }
    }
    const Matrix u = inverse_factor(damped, n);
    double worst = 0, worst_scale = 0;
    for (int64_t row = 0; row < c.rows; ++row) {
      std::vector<double> now(static_cast<size_t>(n));
      for (int64_t i = 0; i < n; ++i)
        now[static_cast<size_t>(i)] = w[static_cast<size_t>(row * n + order[static_cast<size_t>(i)])];
      for (int64_t i = 0; i < n; ++i) {
        const int64_t column = order[static_cast<size_t>(i)];
        const auto group = static_cast<size_t>(row * groups + column / c.group_size);
        if (c.scales != TERSOR_SCALES_GIVEN && i % c.group_size == 0) {
          double lowest = 0, highest = 0;
          for (int64_t j = i; j < std::min(n, i + c.group_size); ++j) {
            lowest = std::min(lowest, now[static_cast<size_t>(j)]);
            highest = std::max(highest, now[static_cast<size_t>(j)]);
          }
          const double range = c.scales == TERSOR_SCALES_SYMMETRIC ? 2 * std::max(-lowest, highest) : highest - lowest;
          worst_scale = std::max(worst_scale, std::fabs(scales[group] * (high - low) - range));
          if (c.scales == TERSOR_SCALES_ASYMMETRIC) {
            CHECK(std::fabs(zero_points[group] - (low - lowest / scales[group])) <= 0.51);
          }
        }
        const double position = now[static_cast<size_t>(i)] / scales[group] + zero_points[group];
        const int32_t got = code(row, column);
        CHECK(got >= low);
        CHECK(got <= high);
        worst = std::max(worst, std::fabs(std::clamp<double>(position, low, high) - got));
        const double value = static_cast<double>(scales[group]) * (got - zero_points[group]);
        const double error = (now[static_cast<size_t>(i)] - value) / u[static_cast<size_t>(i * n + i)];
        for (int64_t j = i; j < n; ++j) now[static_cast<size_t>(j)] -= error * u[static_cast<size_t>(i * n + j)];
      }
    }
    // Sums of up to n products of errors (at most half a step, or the clipped rest) with factors below about 10.
    const double rounding = 10 * static_cast<double>(n) * kEpsilon;
    CHECK(worst <= 0.5 + rounding * (high - low));
    CHECK(worst_scale <= rounding);
  }
};

const Case kCases[] = {
    {1, 1, 1, TERSOR_SCALES_GIVEN, false, TERSOR_U4},
    {3, 5, 8, TERSOR_SCALES_GIVEN, false, TERSOR_U3},
    {50, 40, 40, TERSOR_SCALES_GIVEN, true, TERSOR_I8},
    {97, 70, 16, TERSOR_SCALES_GIVEN, true, TERSOR_U2},
    {49, 300, 64, TERSOR_SCALES_GIVEN, false, TERSOR_U8},
    {7, 33, 5, TERSOR_SCALES_SYMMETRIC, false, TERSOR_U4},
    {50, 40, 3, TERSOR_SCALES_ASYMMETRIC, false, TERSOR_U4},
    {33, 150, 32, TERSOR_SCALES_ASYMMETRIC, false, TERSOR_U3},
    {20, 300, 128, TERSOR_SCALES_SYMMETRIC, false, TERSOR_U4},
    {9, 290, 200, TERSOR_SCALES_ASYMMETRIC, false, TERSOR_U4},
    {9, 64, 1000, TERSOR_SCALES_SYMMETRIC, false, TERSOR_I8},
    {5, 19, 1, TERSOR_SCALES_ASYMMETRIC, false, TERSOR_U4},
};

}  // namespace

TEST_CASE("gptq: every code is what the paper rounds by then; every kernel, same bits on any number of threads") {
  for_each_kernel(cpu::second_order_kernels, [](const std::string& isa, cpu::SecondOrderKernel* kernel) {
    for (const Case& c : kCases) {
      const std::string what = isa + " " + std::to_string(c.rows) + " x " + std::to_string(c.columns) + ", groups of " +
                               std::to_string(c.group_size) + (c.activation_order ? ", by activation" : "");
      Run run(c);
      same_for_any_thread_count(what, [&] {
        run.call(kernel);
        return run.codes;
      });
      run.check(what);
    }
  });
}

TEST_CASE("gptq: random shapes") {
  Random random(11);
  for (int i = 0; i < 25; ++i) {
    const bool given = random.integer(0, 1) == 0;
    const Case c = {.rows = random.integer(1, 120),
                    .columns = random.integer(1, 160),
                    .group_size = random.integer(1, 90),
                    .scales = given ? TERSOR_SCALES_GIVEN : TERSOR_SCALES_ASYMMETRIC,
                    .activation_order = given && random.integer(0, 1) == 0,
                    .dtype = TERSOR_U4};
    Run run(c);
    run.call(cpu::second_order_kernels.best());
    run.check(std::to_string(c.rows) + " x " + std::to_string(c.columns) + " / " + std::to_string(c.group_size));
  }
}

TEST_CASE("gptq: inputs that do not depend on each other, or were never seen, round to nearest") {
  const int64_t rows = 60, columns = 50;
  for_each_kernel(cpu::second_order_kernels, [&](const std::string& isa, cpu::SecondOrderKernel* kernel) {
    for (const float seen : {3.0f, 0.0f}) {
      Context context;
      std::vector<float> h(static_cast<size_t>(columns * columns), 0.0f);
      for (int64_t j = 0; j < columns; ++j) h[static_cast<size_t>(j * columns + j)] = seen;
      const auto values = uniform(rows * columns, 3);
      const F32 w({rows, columns}, values), hessian({columns, columns}, h);
      const F32 scales({rows, 1}, uniform(rows, 4, 0.1, 0.2));
      const Typed<int8_t> codes({rows, columns});
      const tersor_affine affine = {scales, nullptr, nullptr, -7, 7, columns};
      const tersor_gptq_options options = {0.0f, 1, TERSOR_SCALES_GIVEN};
      REQUIRE(cpu::gptq_with(kernel, &context, w, hessian, &options, &affine, codes) == TERSOR_OK);
      std::vector<int8_t> expected;
      for (size_t i = 0; i < values.size(); ++i) {
        const float step = std::nearbyint(values[i] / scales[i / static_cast<size_t>(columns)]);
        expected.push_back(static_cast<int8_t>(std::clamp(step, -7.0f, 7.0f)));
      }
      check_same_bits(isa, codes.values(), expected);
    }
  });
}

TEST_CASE("gptq: a hessian of too few examples is damped until it has a factor") {
  Context context;
  const int64_t rows = 5, columns = 80;
  const F32 w({rows, columns}, uniform(rows * columns, 3)), hessian({columns, columns}, gram(6, columns, 2));
  const F32 scales({rows, 1}, std::vector<float>(static_cast<size_t>(rows), 0.1f));
  const Typed<int8_t> codes({rows, columns});
  const tersor_affine affine = {scales, nullptr, nullptr, -127, 127, columns};
  const tersor_gptq_options options = {0.0f, 0, TERSOR_SCALES_GIVEN};
  CHECK_MESSAGE(cpu::gptq(&context, w, hessian, &options, &affine, codes) == TERSOR_OK, context.message);
}

TEST_CASE("gptq: what cannot be done is refused, with the place") {
  const auto refusal = [](std::vector<float> w, std::vector<float> h, const tersor_gptq_options& options,
                          tersor_status expected, bool biases = false) {
    Context context;
    const F32 weight({2, 2}, w), hessian({2, 2}, h), scales({2, 1}, {1, 1}), offsets({2, 1}, {0, 0});
    const Typed<int8_t> codes({2, 2});
    const tersor_affine affine = {scales, nullptr, biases ? static_cast<const tersor_tensor*>(offsets) : nullptr,
                                  -7,     7,       2};
    CHECK(cpu::gptq(&context, weight, hessian, &options, &affine, codes) == expected);
    return std::string(context.message);
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const tersor_gptq_options given = {0.01f, 0, TERSOR_SCALES_GIVEN};
  CHECK(refusal({1, 2, nan, 4}, {1, 0, 0, 1}, given, TERSOR_NOT_FINITE).find("at w[1, 0]") != std::string::npos);
  CHECK(refusal({1, 2, 3, 4}, {1, 0, nan, 1}, given, TERSOR_NOT_FINITE).find("at hessian[1, 0]") != std::string::npos);
  CHECK(refusal({1, 2, 3, 4}, {1, 0, 0, -1}, given, TERSOR_INVALID_ARGUMENT).find("hessian[1, 1]") !=
        std::string::npos);
  // An indefinite matrix gets a factor once the damping is large enough; one of huge entries off the diagonal never
  // does.
  CHECK(refusal({1, 2, 3, 4}, {1, 1e30f, 1e30f, 1}, given, TERSOR_INVALID_ARGUMENT).find("semi-definite") !=
        std::string::npos);
  refusal({1, 2, 3, 4}, {1, 0, 0, 1}, {-1.0f, 0, TERSOR_SCALES_GIVEN}, TERSOR_OUT_OF_RANGE);
  refusal({1, 2, 3, 4}, {1, 0, 0, 1}, {nan, 0, TERSOR_SCALES_GIVEN}, TERSOR_OUT_OF_RANGE);
  refusal({1, 2, 3, 4}, {1, 0, 0, 1}, {0.01f, 1, TERSOR_SCALES_SYMMETRIC}, TERSOR_UNSUPPORTED);
  refusal({1, 2, 3, 4}, {1, 0, 0, 1}, {0.01f, 0, TERSOR_SCALES_ASYMMETRIC}, TERSOR_INVALID_ARGUMENT);
  refusal({1, 2, 3, 4}, {1, 0, 0, 1}, {0.01f, 0, TERSOR_SCALES_SYMMETRIC}, TERSOR_UNSUPPORTED, true);
}

TEST_CASE("gptq: nothing to compress, and a raised cancel flag") {
  Context context;
  const F32 none({0, 3}), h({3, 3}), scales({1, 1}, {1});
  const Typed<int8_t> codes({0, 3});
  const tersor_affine affine = {scales, nullptr, nullptr, -7, 7, 3};
  const tersor_gptq_options options = {0.01f, 0, TERSOR_SCALES_GIVEN};
  std::fill(h.data<float>(), h.data<float>() + 9, 0.0f);
  CHECK(cpu::gptq(&context, none, h, &options, &affine, codes) == TERSOR_OK);
  context.flag = 1;
  const F32 w({1, 3}, {1, 2, 3});
  const Typed<int8_t> out({1, 3});
  CHECK(cpu::gptq(&context, w, h, &options, &affine, out) == TERSOR_CANCELLED);
}

}  // namespace tersor::test
