#include <functional>
#include <limits>
#include <string>

#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

std::vector<double> softmax(const double* logits, int64_t columns, double temperature) {
  double largest = -1e300, total = 0;
  std::vector<double> p(columns);
  for (int64_t j = 0; j < columns; ++j) largest = std::max(largest, logits[j] / temperature);
  for (int64_t j = 0; j < columns; ++j) total += p[j] = std::exp(logits[j] / temperature - largest);
  for (double& v : p) v /= total;
  return p;
}

double cross_entropy(const std::vector<double>& logits, const std::vector<int32_t>& labels, int64_t columns) {
  double sum = 0;
  for (size_t r = 0; r < labels.size(); ++r) {
    sum -= std::log(softmax(&logits[r * columns], columns, 1.0)[labels[r]]);
  }
  return sum / static_cast<double>(labels.size());
}

double distillation(const std::vector<double>& student, const std::vector<double>& teacher, int64_t columns,
                    double temperature) {
  double sum = 0;
  const size_t rows = student.size() / static_cast<size_t>(columns);
  for (size_t r = 0; r < rows; ++r) {
    const auto s = softmax(&student[r * columns], columns, temperature);
    const auto t = softmax(&teacher[r * columns], columns, temperature);
    for (int64_t j = 0; j < columns; ++j) sum += t[j] * std::log(t[j] / s[j]);
  }
  return temperature * temperature * sum / static_cast<double>(rows);
}

// Central differences of a float64 loss.
std::vector<double> differentiate(std::vector<double> at, const std::function<double(const std::vector<double>&)>& f) {
  constexpr double kStep = 1e-5;
  std::vector<double> slope(at.size());
  for (size_t i = 0; i < at.size(); ++i) {
    const double here = at[i];
    at[i] = here + kStep;
    const double up = f(at);
    at[i] = here - kStep;
    slope[i] = (up - f(at)) / (2 * kStep);
    at[i] = here;
  }
  return slope;
}

std::vector<double> widen(const std::vector<float>& values) { return {values.begin(), values.end()}; }

}  // namespace

TEST_CASE("cross_entropy: equal logits cost log(classes)") {
  Context context;
  F32 logits({2, 10}, std::vector<float>(20, 3.0f)), loss({1}), gradient({2, 10});
  I32 labels({2}, {0, 9});
  REQUIRE(cpu::cross_entropy(&context, logits, labels, loss, gradient) == TERSOR_OK);
  CHECK(static_cast<double>(loss[0]) == doctest::Approx(std::log(10.0)).epsilon(1e-7));
  CHECK(gradient[0] == doctest::Approx((0.1 - 1) / 2).epsilon(1e-6));
  CHECK(gradient[1] == doctest::Approx(0.1 / 2).epsilon(1e-6));
  CHECK(gradient[19] == doctest::Approx((0.1 - 1) / 2).epsilon(1e-6));
}

TEST_CASE("cross_entropy: loss and gradient against float64 and finite differences") {
  Context context;
  for (const int64_t columns : {1, 2, 10, 255, 256, 257, 700}) {
    CAPTURE(columns);
    const int64_t rows = 3;
    const auto values = uniform(rows * columns, 21, -8.0f, 8.0f);
    const auto labels = Random(22).integers<int32_t>(rows, 0, static_cast<int32_t>(columns) - 1);
    F32 logits({rows, columns}, values), loss({1}), gradient({rows, columns});
    I32 tensor_labels({rows}, labels);
    REQUIRE(cpu::cross_entropy(&context, logits, tensor_labels, loss, gradient) == TERSOR_OK);
    const auto reference = [&](const std::vector<double>& z) { return cross_entropy(z, labels, columns); };
    // Shifted logits up to 16 carry eps * 16; exponentials 4 eps; the differences themselves about 1e-10.
    check_close("loss", loss.values(), {reference(widen(values))}, 32 * kEpsilon);
    check_close("gradient", gradient.values(), differentiate(widen(values), reference), 24 * kEpsilon);

    F32 alone({1});
    REQUIRE(cpu::cross_entropy(&context, logits, tensor_labels, alone, nullptr) == TERSOR_OK);
    check_same_bits("alone", alone.values(), loss.values());
  }
}

TEST_CASE("cross_entropy: logits that overflow exp") {
  Context context;
  F32 logits({1, 3}, {1000.0f, 0.0f, -1000.0f}), loss({1}), gradient({1, 3});
  I32 labels({1}, {2});
  REQUIRE(cpu::cross_entropy(&context, logits, labels, loss, gradient) == TERSOR_OK);
  CHECK(loss[0] == 2000.0f);
  check_same_bits("gradient", gradient.values(), {1, 0, -1});
}

TEST_CASE("cross_entropy: a label outside the classes is named with its row") {
  Context context;
  for (const int32_t bad : {3, -1, std::numeric_limits<int32_t>::min()}) {
    F32 logits({2, 3}, std::vector<float>(6, 0.0f)), loss({1});
    I32 labels({2}, {0, bad});
    CHECK(cpu::cross_entropy(&context, logits, labels, loss, nullptr) == TERSOR_OUT_OF_RANGE);
    CHECK(std::string(context.message) == "expected 0 <= label < 3, got " + std::to_string(bad) + ", at row 1");
  }
  F32 none({0, 3}), loss({1});
  I32 no_labels({0});
  CHECK(cpu::cross_entropy(&context, none, no_labels, loss, nullptr) == TERSOR_INVALID_SHAPE);
}

TEST_CASE("distillation: two classes, by hand") {
  // tau = 2, teacher logits (2 ln 3, 0): p = (3/4, 1/4). Student (0, 0): q = (1/2, 1/2).
  // KL = 3/4 ln(3/2) + 1/4 ln(1/2); loss = 4 KL; gradient = tau (q - p) = (-1/2, 1/2).
  Context context;
  F32 student({1, 2}, {0, 0}), teacher({1, 2}, {static_cast<float>(2 * std::log(3.0)), 0}), loss({1}), gradient({1, 2});
  REQUIRE(cpu::distillation(&context, student, teacher, 2.0f, loss, gradient) == TERSOR_OK);
  check_close("loss", loss.values(), {4 * (0.75 * std::log(1.5) + 0.25 * std::log(0.5))}, 8 * kEpsilon);
  check_close("gradient", gradient.values(), {-0.5, 0.5}, 8 * kEpsilon);
}

TEST_CASE("distillation: loss and gradient against float64 and finite differences") {
  Context context;
  for (const int64_t columns : {1, 5, 256, 300}) {
    for (const float temperature : {0.5f, 1.0f, 4.0f}) {
      CAPTURE(columns);
      CAPTURE(temperature);
      const int64_t rows = 3;
      const auto s = uniform(rows * columns, 31, -3.0f, 3.0f);
      const auto t = uniform(rows * columns, 32, -3.0f, 3.0f);
      F32 student({rows, columns}, s), teacher({rows, columns}, t), loss({1}), gradient({rows, columns});
      REQUIRE(cpu::distillation(&context, student, teacher, temperature, loss, gradient) == TERSOR_OK);
      const auto reference = [&](const std::vector<double>& z) {
        return distillation(z, widen(t), columns, static_cast<double>(temperature));
      };
      // Scaled logits span at most 12 / tau; both sides of the difference carry that many eps, times tau^2.
      const double tau = static_cast<double>(temperature);
      check_close("loss", loss.values(), {reference(widen(s))}, tau * tau * (12 / tau + 8) * 2 * kEpsilon);
      check_close("gradient", gradient.values(), differentiate(widen(s), reference),
                  tau * (12 / tau + 8) * kEpsilon + 1e-9);
    }
  }
}

TEST_CASE("distillation: a student equal to its teacher has nothing to learn") {
  Context context;
  const auto z = uniform(4 * 9, 33, -50.0f, 50.0f);
  F32 student({4, 9}, z), teacher({4, 9}, z), loss({1}), gradient({4, 9});
  REQUIRE(cpu::distillation(&context, student, teacher, 3.0f, loss, gradient) == TERSOR_OK);
  CHECK(loss[0] == 0.0f);
  check_same_bits("gradient", gradient.values(), std::vector<float>(36, 0.0f));
}

TEST_CASE("distillation: an unusable temperature is refused") {
  Context context;
  F32 z({1, 2}, {0, 1}), loss({1});
  for (const float bad : {0.0f, -1.0f, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    CHECK(cpu::distillation(&context, z, z, bad, loss, nullptr) == TERSOR_INVALID_ARGUMENT);
  }
}

TEST_CASE("losses: same bits for any thread count") {
  const int64_t rows = 3000, columns = 100;
  const auto s = uniform(rows * columns, 41), t = uniform(rows * columns, 42);
  const auto labels = Random(43).integers<int32_t>(rows, 0, columns - 1);
  same_for_any_thread_count("losses and gradients", [&] {
    Context context;
    F32 student({rows, columns}, s), teacher({rows, columns}, t), loss({1}), gradient({rows, columns});
    I32 tensor_labels({rows}, labels);
    REQUIRE(cpu::cross_entropy(&context, student, tensor_labels, loss, gradient) == TERSOR_OK);
    auto all = gradient.values();
    all.push_back(loss[0]);
    REQUIRE(cpu::distillation(&context, student, teacher, 2.0f, loss, gradient) == TERSOR_OK);
    const auto more = gradient.values();
    all.insert(all.end(), more.begin(), more.end());
    all.push_back(loss[0]);
    return all;
  });
}

}  // namespace tersor::test
