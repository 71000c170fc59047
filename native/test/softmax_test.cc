// Softmax, log-softmax and the losses' rows: every kernel of the machine.
#include <limits>
#include <string>

#include "cpu/nn/softmax_rows.h"
#include "cpu/operations.h"
#include "cpu/vector/exponential.h"
#include "cpu/vector/vector_scalar.h"
#include "typed.h"

namespace tersor::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
const std::vector<int64_t> kColumns = {1, 2, 3, 15, 16, 17, 63, 64, 65, 130, 1000, 1025, 5000};

std::vector<double> log_softmax64(const std::vector<float>& x) {
  double largest = -HUGE_VAL, total = 0;
  for (const float v : x) largest = std::max(largest, static_cast<double>(v));
  for (const float v : x) total += std::exp(static_cast<double>(v) - largest);
  std::vector<double> y(x.begin(), x.end());
  for (double& v : y) v -= largest + std::log(total);
  return y;
}

}  // namespace

TEST_CASE("exp of vectors: within two units in the last place on the whole negative axis") {
  double worst = 0;
  for (float x = 0.0f; x > -87.3f; x -= 0.000917f) {
    const double expected = std::exp(static_cast<double>(x));
    const float e = cpu::exp_of_nonpositive_vector<cpu::BaselineVector>(cpu::BaselineVector::all(x))[0];
    worst = std::max(worst, std::fabs(static_cast<double>(e) - expected) / expected);
  }
  CHECK(worst < 4 * kEpsilon);
}

TEST_CASE("softmax kernels: exponentials of special values") {
  for_each_kernel(cpu::softmax_kernels, [](const std::string& isa, auto kernel) {
    CAPTURE(isa);
    F32 x({5}, {0.0f, -200.0f, -kInfinity, -87.0f, 0.0f}), y({5});
    kernel().softmax(x.data<float>(), 5, y.data<float>());
    CHECK(y[0] == 0.5f);
    CHECK(y[1] == 0.0f);
    CHECK(y[2] == 0.0f);
    CHECK(static_cast<double>(y[3]) == doctest::Approx(std::exp(-87.0) / 2).epsilon(1e-6));
    for (const float bad : {kNan, kInfinity}) {
      for (const size_t at : {size_t{0}, size_t{18}}) {
        std::vector<float> row(19, 1.0f);
        row[at] = bad;
        F32 z({19}, row), p({19});
        kernel().softmax(z.data<float>(), 19, p.data<float>());
        for (const float v : p.values()) CHECK(std::isnan(v));
        kernel().log_softmax(z.data<float>(), 19, p.data<float>());
        for (const float v : p.values()) CHECK(!std::isfinite(v));
        CHECK(std::isnan(kernel().cross_entropy(z.data<float>(), 19, 1, 1.0f, p.data<float>())));
      }
    }
    F32 none({3}, {-kInfinity, -kInfinity, -kInfinity}), out({3});
    kernel().softmax(none.data<float>(), 3, out.data<float>());
    CHECK(std::isnan(out[0]));
  });
}

TEST_CASE("softmax kernels: values and gradients against float64, in place too") {
  for_each_kernel(cpu::softmax_kernels, [](const std::string& isa, auto kernel) {
    CAPTURE(isa);
    for (const int64_t columns : kColumns) {
      CAPTURE(columns);
      // Far from 0, so that exp of an unshifted logit overflows.
      const auto values = uniform(columns, 51, 990, 1010), slopes = uniform(columns, 52);
      const auto logs = log_softmax64(values);
      std::vector<double> p(logs), tolerance(logs), log_tolerance(logs);
      double inner = 0, total = 0, size = 0;
      for (int64_t i = 0; i < columns; ++i) {
        p[i] = std::exp(logs[i]);
        // The shifted logit is exact; exp is within 4 eps; a block's f32 sum and three more roundings.
        tolerance[i] = p[i] * 40 * kEpsilon + 1e-37;
        log_tolerance[i] = (40 + 2 * std::fabs(logs[i])) * kEpsilon;
        inner += p[i] * static_cast<double>(slopes[i]), total += static_cast<double>(slopes[i]);
        size += std::fabs(static_cast<double>(slopes[i]));
      }
      F32 x({columns}, values), y({columns}), dy({columns}, slopes);
      kernel().softmax(x.data<float>(), columns, y.data<float>());
      check_close("softmax", y.values(), p, tolerance);
      std::vector<double> expected(p), bound(p);
      for (int64_t i = 0; i < columns; ++i) {
        expected[i] = p[i] * (static_cast<double>(slopes[i]) - inner);
        bound[i] = p[i] * 100 * kEpsilon + 1e-37;
      }
      kernel().softmax_gradient(y.data<float>(), dy.data<float>(), columns, dy.data<float>());
      check_close("softmax gradient", dy.values(), expected, bound);

      kernel().log_softmax(x.data<float>(), columns, x.data<float>());
      check_close("log-softmax", x.values(), logs, log_tolerance);
      F32 g({columns}, slopes);
      kernel().log_softmax_gradient(x.data<float>(), g.data<float>(), columns, g.data<float>());
      for (int64_t i = 0; i < columns; ++i) {
        expected[i] = static_cast<double>(slopes[i]) - p[i] * total;
        bound[i] = (1 + p[i] * size * (60 + 2 * std::fabs(logs[i]))) * kEpsilon;
      }
      check_close("log-softmax gradient", g.values(), expected, bound);
    }
  });
}

TEST_CASE("softmax kernels: losses of a row against float64") {
  for_each_kernel(cpu::softmax_kernels, [](const std::string& isa, auto kernel) {
    CAPTURE(isa);
    for (const int64_t columns : kColumns) {
      CAPTURE(columns);
      const auto s = uniform(columns, 61, -8, 8), t = uniform(columns, 62, -8, 8);
      const auto log_s = log_softmax64(s), log_t = log_softmax64(t);
      const int64_t label = columns / 2;
      F32 student({columns}, s), teacher({columns}, t), gradient({columns});
      const double loss = kernel().cross_entropy(student.data<float>(), columns, label, 0.25f, gradient.data<float>());
      check_close("cross-entropy", {static_cast<float>(loss)}, {-log_s[label]}, 64 * kEpsilon);
      std::vector<double> expected(log_s);
      for (double& v : expected) v = 0.25 * std::exp(v);
      expected[label] -= 0.25;
      check_close("its gradient", gradient.values(), expected, 16 * kEpsilon);

      double divergence = 0;
      for (int64_t i = 0; i < columns; ++i) {
        divergence += std::exp(log_t[i]) * (log_t[i] - log_s[i]);
        expected[i] = 0.5 * (std::exp(log_s[i]) - std::exp(log_t[i]));
      }
      const double got = kernel().divergence(student.data<float>(), teacher.data<float>(), columns, 1.0f, 0.5f,
                                             gradient.data<float>());
      check_close("divergence", {static_cast<float>(got)}, {divergence}, 128 * kEpsilon);
      check_close("its gradient", gradient.values(), expected, 24 * kEpsilon);
    }
  });
}

TEST_CASE("softmax operations: rows of any number, same bits for any thread count, cancelled when asked") {
  for (const int64_t rows : {0, 1, 700}) {
    const int64_t columns = 333;
    const auto values = uniform(rows * columns, 71), slopes = uniform(rows * columns, 72);
    same_for_any_thread_count("all four", [&] {
      Context context;
      F32 x({rows, columns}, values), y({rows, columns}), dy({rows, columns}, slopes), dx({rows, columns});
      std::vector<float> all;
      const auto keep = [&](const F32& t) {
        const auto more = t.values();
        all.insert(all.end(), more.begin(), more.end());
      };
      REQUIRE(cpu::softmax(&context, x, y) == TERSOR_OK);
      keep(y);
      REQUIRE(cpu::softmax_gradient(&context, y, dy, dx) == TERSOR_OK);
      keep(dx);
      REQUIRE(cpu::log_softmax(&context, x, y) == TERSOR_OK);
      keep(y);
      REQUIRE(cpu::log_softmax_gradient(&context, y, dy, dx) == TERSOR_OK);
      keep(dx);
      return all;
    });
  }
  Context context;
  context.flag = 1;
  F32 x({2, 3});
  CHECK(cpu::log_softmax(&context, x, x) == TERSOR_CANCELLED);
}

}  // namespace tersor::test
