// Activations and their slopes: every kernel of the machine against float64.
#include "cpu/nn/activate.h"

#include <limits>
#include <string>

#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const double kPi = std::acos(-1.0);

struct Case {
  tersor_activation activation;
  double (*value)(double);
  double (*slope)(double);
};

double logistic(double x) { return 1 / (1 + std::exp(-x)); }
double tanh_argument(double x) { return std::sqrt(2 / kPi) * (x + 0.044715 * x * x * x); }

const Case kCases[] = {
    {TERSOR_IDENTITY, [](double x) { return x; }, [](double) { return 1.0; }},
    {TERSOR_RELU, [](double x) { return x > 0 ? x : 0; }, [](double x) { return x > 0 ? 1.0 : 0.0; }},
    {TERSOR_GELU, [](double x) { return 0.5 * x * std::erfc(-x * std::sqrt(0.5)); },
     [](double x) { return 0.5 * std::erfc(-x * std::sqrt(0.5)) + x * std::exp(-x * x / 2) / std::sqrt(2 * kPi); }},
    {TERSOR_SILU, [](double x) { return x * logistic(x); },
     [](double x) { return logistic(x) * (1 + x * (1 - logistic(x))); }},
    {TERSOR_GELU_TANH, [](double x) { return 0.5 * x * (1 + std::tanh(tanh_argument(x))); },
     [](double x) {
       const double t = std::tanh(tanh_argument(x));
       return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * std::sqrt(2 / kPi) * (1 + 3 * 0.044715 * x * x);
     }},
    {TERSOR_TANH, [](double x) { return std::tanh(x); }, [](double x) { return 1 / (std::cosh(x) * std::cosh(x)); }},
    {TERSOR_SIGMOID, logistic, [](double x) { return logistic(x) * logistic(-x); }},
};

}  // namespace

TEST_CASE("activate kernels: values and slopes against float64, the same bits on every ISA") {
  // Dense near 0, and out to where every activation is flat or straight.
  std::vector<float> x;
  for (float v = -12; v < 12; v += 0.0037f) x.push_back(v);
  for (float v = 1e-8f; v < 80; v *= 1.7f) x.insert(x.end(), {v, -v});
  const auto count = static_cast<int64_t>(x.size());
  const auto dy = uniform(count, 5, 0.5, 2);
  for (const Case& c : kCases) {
    CAPTURE(c.activation);
    std::vector<double> value, slope, value_tolerance, slope_tolerance;
    for (size_t i = 0; i < x.size(); ++i) {
      const double v = x[i], size = std::fabs(v);
      value.push_back(c.value(v));
      slope.push_back(c.slope(v) * static_cast<double>(dy[i]));
      // erf is within 8 eps of 1; a tanh or logistic function has its roundings of e and of the argument of exp.
      value_tolerance.push_back(10 * kEpsilon * std::fmin(1.0, size) * std::fmax(1.0, size) +
                                (c.activation == TERSOR_SIGMOID ? 6 * kEpsilon * value.back() * (1 + size) : 0));
      slope_tolerance.push_back(24 * kEpsilon * (1 + std::fmin(size, 4.0)));
    }
    std::vector<float> first, first_slope;
    for_each_kernel(cpu::activate_kernels, [&](const std::string& isa, auto kernel) {
      CAPTURE(isa);
      const F32 tx({count}, x), y({count}), slopes({count}, dy);
      kernel().value(c.activation, count, tx.data<float>(), y.data<float>());
      check_close("value", y.values(), value, value_tolerance);
      kernel().gradient(c.activation, count, tx.data<float>(), slopes.data<float>(), slopes.data<float>());
      check_close("slope", slopes.values(), slope, slope_tolerance);
      if (first.empty()) first = y.values(), first_slope = slopes.values();
      check_same_bits("value", y.values(), first);
      check_same_bits("slope", slopes.values(), first_slope);
    });
  }
}

TEST_CASE("activate kernels: NaN stays, tanh of small numbers keeps their digits, far slopes are 0 or 1") {
  for_each_kernel(cpu::activate_kernels, [](const std::string& isa, auto kernel) {
    CAPTURE(isa);
    for (const Case& c : kCases) {
      CAPTURE(c.activation);
      const F32 x({5}, {std::nanf(""), 1e30f, -1e30f, kInfinity, 0.0f}), y({5}), dx({5}, {1, 1, 1, 1, 1});
      kernel().value(c.activation, 5, x.data<float>(), y.data<float>());
      kernel().gradient(c.activation, 5, x.data<float>(), dx.data<float>(), dx.data<float>());
      CHECK(std::isnan(y[0]));
      if (c.activation != TERSOR_IDENTITY) CHECK(std::isnan(dx[0]));
      const bool bounded = c.activation == TERSOR_TANH || c.activation == TERSOR_SIGMOID;
      CHECK(dx[1] == (bounded ? 0.0f : 1.0f));
      CHECK(std::fabs(dx[2]) == (c.activation == TERSOR_IDENTITY ? 1.0f : 0.0f));
      CHECK(y[3] == (bounded ? 1.0f : kInfinity));
      CHECK(dx[3] == dx[1]);
      CHECK(static_cast<double>(y[4]) == c.value(0));
    }
    const F32 small({2}, {1e-20f, -3e-10f}), y({2});
    kernel().value(TERSOR_TANH, 2, small.data<float>(), y.data<float>());
    check_same_bits("tanh", y.values(), small.values());
  });
}

TEST_CASE("activate: any length, in place, same bits for any thread count, cancelled when asked") {
  for (const int64_t count : {0, 1, 255, 256, 257, 200001}) {
    CAPTURE(count);
    const auto x = uniform(count, 6, -3, 3);
    same_for_any_thread_count("in place", [&] {
      Context context;
      const F32 y({count}, x);
      REQUIRE(cpu::activate(&context, TERSOR_SILU, y, y) == TERSOR_OK);
      REQUIRE(cpu::activate_gradient(&context, TERSOR_GELU, y, y, y) == TERSOR_OK);
      return y.values();
    });
  }
  Context context;
  context.flag = 1;
  const F32 x({3});
  CHECK(cpu::activate(&context, TERSOR_RELU, x, x) == TERSOR_CANCELLED);
}

}  // namespace tersor::test
