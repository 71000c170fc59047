#include <memory>

#include "cpu/nn/optimizer_spans.h"
#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

constexpr int kSteps = 20;

// Gradient of 0.5 * sum(curvature * (p - target)^2): optimizers walk towards `target`.
struct Bowl {
  std::vector<float> start, target, curvature;

  explicit Bowl(size_t count)
      : start(uniform(count, 51)), target(uniform(count, 52)), curvature(uniform(count, 53, 0.1f, 3.0f)) {}

  template <typename T>
  std::vector<T> gradient(const std::vector<T>& p) const {
    std::vector<T> g(p.size());
    for (size_t i = 0; i < p.size(); ++i) g[i] = static_cast<T>(curvature[i]) * (p[i] - static_cast<T>(target[i]));
    return g;
  }
};

struct SgdOptions {
  float rate, momentum, decay;
  bool nesterov;
};

// PyTorch's definition, in float64.
std::vector<double> sgd_reference(const Bowl& bowl, const SgdOptions& o) {
  std::vector<double> p(bowl.start.begin(), bowl.start.end()), v(p.size(), 0.0);
  for (int step = 0; step < kSteps; ++step) {
    const auto gradient = bowl.gradient(p);
    for (size_t i = 0; i < p.size(); ++i) {
      const double g = gradient[i] + static_cast<double>(o.decay) * p[i];
      v[i] = static_cast<double>(o.momentum) * v[i] + g;
      p[i] -= static_cast<double>(o.rate) * (o.nesterov ? g + static_cast<double>(o.momentum) * v[i] : v[i]);
    }
  }
  return p;
}

std::vector<double> adam_reference(const Bowl& bowl, const tersor_adam_options& o) {
  std::vector<double> p(bowl.start.begin(), bowl.start.end()), m(p.size(), 0.0), v(p.size(), 0.0);
  const double b1 = static_cast<double>(o.beta1), b2 = static_cast<double>(o.beta2),
               lr = static_cast<double>(o.learning_rate), wd = static_cast<double>(o.weight_decay);
  for (int step = 1; step <= kSteps; ++step) {
    const auto gradient = bowl.gradient(p);
    for (size_t i = 0; i < p.size(); ++i) {
      double g = gradient[i];
      if (o.decoupled_decay != 0) {
        p[i] *= 1 - lr * wd;
      } else {
        g += wd * p[i];
      }
      m[i] = b1 * m[i] + (1 - b1) * g;
      v[i] = b2 * v[i] + (1 - b2) * g * g;
      const double m_hat = m[i] / (1 - std::pow(b1, step)), v_hat = v[i] / (1 - std::pow(b2, step));
      p[i] -= lr * m_hat / (std::sqrt(v_hat) + static_cast<double>(o.epsilon));
    }
  }
  return p;
}

}  // namespace

TEST_CASE("sgd_step: 20 steps against float64") {
  Context context;
  for (const int64_t count : {0, 1, 17, 1000}) {
    const Bowl bowl(static_cast<size_t>(count));
    for (const SgdOptions& o : {SgdOptions{0.1f, 0, 0, false}, SgdOptions{0.1f, 0, 0.01f, false},
                                SgdOptions{0.05f, 0.9f, 0.01f, false}, SgdOptions{0.05f, 0.9f, 0.01f, true}}) {
      CAPTURE(count);
      CAPTURE(o.momentum);
      CAPTURE(o.nesterov);
      F32 p({count}, bowl.start), v({count}, std::vector<float>(static_cast<size_t>(count), 0.0f));
      const tersor_tensor* velocity = v;
      for (int step = 0; step < kSteps; ++step) {
        const F32 g({count}, bowl.gradient(p.values()));
        const tersor_sgd_options options{o.rate, o.momentum, o.decay, o.nesterov, 0};
        REQUIRE(cpu::sgd_step(&context, 1, p, g, o.momentum == 0 ? nullptr : velocity, &options) == TERSOR_OK);
      }
      // A handful of roundings of numbers below 8 in each contracting step.
      check_close("p", p.values(), sgd_reference(bowl, o), kSteps * 32 * kEpsilon);
    }
  }
}

TEST_CASE("sgd_step: momentum without a velocity is refused") {
  Context context;
  F32 p({1}, {1}), g({1}, {1});
  const tersor_sgd_options options{0.1f, 0.9f, 0, 0, 0};
  CHECK(cpu::sgd_step(&context, 1, p, g, nullptr, &options) == TERSOR_INVALID_ARGUMENT);
  CHECK(p[0] == 1.0f);
}

TEST_CASE("adam_step: the first step is learning_rate in the direction of the gradient, whatever its size") {
  Context context;
  F32 p({4}, {0, 0, 0, 0}), g({4}, {1e-3f, -2.0f, 5e4f, 0.0f}), m({4}, {0, 0, 0, 0}), v({4}, {0, 0, 0, 0});
  const tersor_adam_options options{0.01f, 0.9f, 0.999f, 1e-8f, 0, 0, 1, 0};
  REQUIRE(cpu::adam_step(&context, 1, p, g, m, v, &options) == TERSOR_OK);
  check_close("p", p.values(), {-0.01, 0.01, -0.01, 0.0}, 1.1e-7);
}

TEST_CASE("adam_step: 20 steps of Adam, with L2 and decoupled decay, against float64") {
  Context context;
  for (const int64_t count : {0, 1, 17, 1000}) {
    const Bowl bowl(static_cast<size_t>(count));
    for (const auto& [decay, decoupled] : {std::pair{0.0f, 0}, std::pair{0.1f, 0}, std::pair{0.1f, 1}}) {
      CAPTURE(count);
      CAPTURE(decay);
      CAPTURE(decoupled);
      tersor_adam_options options{0.01f, 0.9f, 0.999f, 1e-8f, decay, decoupled, 0, 0};
      const std::vector<float> zeros(static_cast<size_t>(count), 0.0f);
      F32 p({count}, bowl.start), m({count}, zeros), v({count}, zeros);
      for (options.step = 1; options.step <= kSteps; ++options.step) {
        const F32 g({count}, bowl.gradient(p.values()));
        REQUIRE(cpu::adam_step(&context, 1, p, g, m, v, &options) == TERSOR_OK);
      }
      // Parameters below 2 rounded once a step; a gradient near zero turns its own rounding into part of a step.
      check_close("p", p.values(), adam_reference(bowl, options), kSteps * 8 * kEpsilon);
    }
  }
}

TEST_CASE("adam_step: options outside their range are refused") {
  Context context;
  F32 p({1}, {1}), g({1}, {1}), m({1}, {0}), v({1}, {0});
  for (const tersor_adam_options& bad : {tersor_adam_options{0.01f, 0.9f, 0.999f, 1e-8f, 0, 0, 0, 0},
                                         tersor_adam_options{0.01f, 1.0f, 0.999f, 1e-8f, 0, 0, 1, 0},
                                         tersor_adam_options{0.01f, 0.9f, -0.1f, 1e-8f, 0, 0, 1, 0},
                                         tersor_adam_options{0.01f, 0.9f, std::nanf(""), 1e-8f, 0, 0, 1, 0}}) {
    CHECK(cpu::adam_step(&context, 1, p, g, m, v, &bad) == TERSOR_INVALID_ARGUMENT);
  }
  CHECK(p[0] == 1.0f);
}

TEST_CASE("optimizers: same bits for any thread count") {
  const int64_t count = 300000;
  const auto start = uniform(count, 61), slope = uniform(count, 62);
  same_for_any_thread_count("parameters", [&] {
    Context context;
    F32 p({count}, start), g({count}, slope), m({count}, std::vector<float>(count, 0.0f)),
        v({count}, std::vector<float>(count, 0.0f));
    const tersor_adam_options options{0.01f, 0.9f, 0.999f, 1e-8f, 0, 0, 1, 0};
    REQUIRE(cpu::adam_step(&context, 1, p, g, m, v, &options) == TERSOR_OK);
    const tersor_sgd_options momentum{0.1f, 0.9f, 0.01f, 1, 0.7f};
    REQUIRE(cpu::sgd_step(&context, 1, p, g, m, &momentum) == TERSOR_OK);
    const tersor_rms_options rms{0.01f, 0.9f, 1e-8f, 0.1f, 0.7f};
    REQUIRE(cpu::rms_step(&context, 1, p, g, v, &rms) == TERSOR_OK);
    REQUIRE(cpu::lamb_step(&context, 1, p, g, m, v, &options) == TERSOR_OK);
    return p.values();
  });
}

TEST_CASE("optimizer kernels: a step of each rule against float64") {
  for_each_kernel(cpu::optimizer_kernels, [](const std::string& isa, auto kernel) {
    CAPTURE(isa);
    for (const int64_t count : {0, 1, 15, 16, 17, 100}) {
      CAPTURE(count);
      const auto p0 = uniform(count, 71), g0 = uniform(count, 72), m0 = uniform(count, 73),
                 v0 = uniform(count, 74, 0.1, 1);
      F32 p({count}, p0), g({count}, g0), m({count}, m0), v({count}, v0);
      kernel().sgd({0.5f, 0.25f, 0.125f, 0.75f, 1.0f, 0.75f}, count, p.data<float>(), g.data<float>(), m.data<float>());
      std::vector<double> expected, expected_m, expected_v;
      double squares = 0;
      for (size_t i = 0; i < p0.size(); ++i) {
        const double slope = 0.5 * static_cast<double>(g0[i]) + 0.125 * static_cast<double>(p0[i]);
        expected_m.push_back(0.75 * static_cast<double>(m0[i]) + slope);
        expected.push_back(static_cast<double>(p0[i]) - 0.25 * (slope + 0.75 * expected_m.back()));
        squares += static_cast<double>(g0[i]) * static_cast<double>(g0[i]);
      }
      check_close("sgd", p.values(), expected, 8 * kEpsilon);
      check_close("velocity", m.values(), expected_m, 8 * kEpsilon);
      check_close("squares", {static_cast<float>(kernel().squares(g.data<float>(), count))}, {squares},
                  (8 + static_cast<double>(count)) * kEpsilon);

      F32 q({count}, p0), first({count}, m0);
      kernel().adam({0.5f, 0.25f, 0.125f, 0.875f, 0.5f, 0.75f, 2.0f, 0.1f}, count, q.data<float>(), g.data<float>(),
                    first.data<float>(), v.data<float>());
      for (size_t i = 0; i < p0.size(); ++i) {
        const double slope = 0.5 * static_cast<double>(g0[i]) + 0.125 * static_cast<double>(p0[i]);
        expected_m[i] = 0.5 * static_cast<double>(m0[i]) + 0.5 * slope;
        expected_v.push_back(0.75 * static_cast<double>(v0[i]) + 0.25 * slope * slope);
        expected[i] = 0.875 * static_cast<double>(p0[i]) - 0.25 * expected_m[i] / (2 * std::sqrt(expected_v[i]) + 0.1);
      }
      check_close("adam", q.values(), expected, 16 * kEpsilon);
      check_close("first moment", first.values(), expected_m, 8 * kEpsilon);
      check_close("second moment", v.values(), expected_v, 8 * kEpsilon);

      F32 r({count}, p0), sum({count}, v0);
      kernel().rms({0.5f, 0.25f, 0.125f, 0.75f, 0.5f, 0.1f}, count, r.data<float>(), g.data<float>(),
                   sum.data<float>());
      F32 t({count}, p0), moment({count}, m0), square({count}, v0);
      const cpu::AdamCoefficients lamb{0.5f, 1.25f, 0.125f, 1.0f, 0.5f, 0.75f, 2.0f, 0.1f};
      const double length = kernel().lamb_moments(lamb, count, t.data<float>(), g.data<float>(), moment.data<float>(),
                                                  square.data<float>());
      kernel().lamb(lamb, 0.25f, count, t.data<float>(), moment.data<float>(), square.data<float>());
      std::vector<double> expected_sum, expected_t;
      double expected_length = 0;
      for (size_t i = 0; i < p0.size(); ++i) {
        const double at = static_cast<double>(p0[i]), scaled = 0.5 * static_cast<double>(g0[i]);
        const double slope = scaled + 0.125 * at;
        expected_sum.push_back(0.75 * static_cast<double>(v0[i]) + 0.5 * slope * slope);
        expected[i] = at - 0.25 * slope / (std::sqrt(expected_sum.back()) + 0.1);
        expected_m[i] = 0.5 * static_cast<double>(m0[i]) + 0.5 * scaled;
        expected_v[i] = 0.75 * static_cast<double>(v0[i]) + 0.25 * scaled * scaled;
        const double u = 1.25 * expected_m[i] / (2 * std::sqrt(expected_v[i]) + 0.1) + 0.125 * at;
        expected_t.push_back(at - 0.25 * u);
        expected_length += u * u;
      }
      check_close("rms", r.values(), expected, 16 * kEpsilon);
      check_close("sum of squares", sum.values(), expected_sum, 8 * kEpsilon);
      check_close("lamb", t.values(), expected_t, 16 * kEpsilon);
      check_close("lamb, first moment", moment.values(), expected_m, 8 * kEpsilon);
      check_close("lamb, second moment", square.values(), expected_v, 8 * kEpsilon);
      check_close("lamb, length of the update", {static_cast<float>(length)}, {expected_length},
                  (32 + static_cast<double>(count)) * 4 * kEpsilon);
    }
  });
}

TEST_CASE("rms_step and lamb_step: options outside their range are refused") {
  Context context;
  F32 p({1}, {1}), g({1}, {1}), m({1}, {0}), v({1}, {0});
  for (const float decay : {-0.1f, 1.1f, std::nanf("")}) {
    const tersor_rms_options bad{0.01f, decay, 1e-8f, 0, 0};
    CHECK(cpu::rms_step(&context, 1, p, g, v, &bad) == TERSOR_INVALID_ARGUMENT);
  }
  const tersor_adam_options bad{0.01f, 0.9f, 0.999f, 1e-8f, 0, 1, 0, 0};
  CHECK(cpu::lamb_step(&context, 1, p, g, m, v, &bad) == TERSOR_INVALID_ARGUMENT);
  CHECK(p[0] == 1.0f);
}

TEST_CASE("lamb_step: a step is the learning rate times the parameter's length; one of length 0 moves by its update") {
  Context context;
  const int64_t count = 100000;
  const auto start = uniform(count, 91), slope = uniform(count, 92);
  const std::vector<float> zeros(count, 0.0f);
  F32 p({count}, start), g({count}, slope), m({count}, zeros), v({count}, zeros);
  F32 q({count}, zeros), n({count}, zeros), w({count}, zeros);
  const std::vector<tersor_tensor> parameters = {*static_cast<const tersor_tensor*>(p),
                                                 *static_cast<const tersor_tensor*>(q)};
  const std::vector<tersor_tensor> gradients(2, *static_cast<const tersor_tensor*>(g));
  const std::vector<tersor_tensor> first = {*static_cast<const tersor_tensor*>(m),
                                            *static_cast<const tersor_tensor*>(n)};
  const std::vector<tersor_tensor> second = {*static_cast<const tersor_tensor*>(v),
                                             *static_cast<const tersor_tensor*>(w)};
  const tersor_adam_options options{0.01f, 0.9f, 0.999f, 1e-8f, 0, 1, 1, 0};
  REQUIRE(cpu::lamb_step(&context, 2, parameters.data(), gradients.data(), first.data(), second.data(), &options) ==
          TERSOR_OK);
  double length = 0, moved = 0;
  const auto stepped = p.values();
  for (size_t i = 0; i < start.size(); ++i) {
    const double before = static_cast<double>(start[i]), after = static_cast<double>(stepped[i]);
    length += before * before;
    moved += (after - before) * (after - before);
  }
  // Each element's move of some 0.006 is known to half a unit of numbers below 1.
  CHECK(std::sqrt(moved) == doctest::Approx(0.01 * std::sqrt(length)).epsilon(1e-4));
  const auto values = q.values();
  for (size_t i = 0; i < values.size(); ++i) {
    // The first direction is the gradient's sign.
    const float expected = slope[i] > 0 ? -0.01f : 0.01f;
    if (std::fabs(slope[i]) > 1e-3f && std::fabs(values[i] - expected) > 1e-6f) FAIL("element " << i);
  }
}

TEST_CASE("optimizers: a list gives each parameter the bits it has alone; clipping takes all gradients together") {
  const std::vector<int64_t> counts = {5, 0, 70000, 1, 40000};
  std::vector<std::unique_ptr<F32>> p, g, alone;
  std::vector<tersor_tensor> ps, gs;
  double squares = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const auto seed = static_cast<uint32_t>(80 + i);
    p.push_back(std::make_unique<F32>(Shape{counts[i]}, uniform(counts[i], seed)));
    alone.push_back(std::make_unique<F32>(Shape{counts[i]}, uniform(counts[i], seed)));
    g.push_back(std::make_unique<F32>(Shape{counts[i]}, uniform(counts[i], seed + 10)));
    ps.push_back(*static_cast<const tersor_tensor*>(*p.back()));
    gs.push_back(*static_cast<const tersor_tensor*>(*g.back()));
    for (const float v : g.back()->values()) squares += static_cast<double>(v) * static_cast<double>(v);
  }
  Context context;
  tersor_sgd_options options{0.5f, 0, 0, 0, 0};
  REQUIRE(cpu::sgd_step(&context, 5, ps.data(), gs.data(), nullptr, &options) == TERSOR_OK);
  for (size_t i = 0; i < counts.size(); ++i) {
    REQUIRE(cpu::sgd_step(&context, 1, *alone[i], *g[i], nullptr, &options) == TERSOR_OK);
    check_same_bits("parameter", p[i]->values(), alone[i]->values());
  }

  for (const double share : {0.25, 4.0}) {
    options.max_norm = static_cast<float>(share * std::sqrt(squares));
    std::vector<std::vector<double>> expected;
    for (size_t i = 0; i < counts.size(); ++i) {
      const auto values = p[i]->values(), slopes = g[i]->values();
      expected.emplace_back(values.begin(), values.end());
      for (size_t k = 0; k < values.size(); ++k) {
        expected[i][k] -= 0.5 * std::min(1.0, share) * static_cast<double>(slopes[k]);
      }
    }
    REQUIRE(cpu::sgd_step(&context, 5, ps.data(), gs.data(), nullptr, &options) == TERSOR_OK);
    for (size_t i = 0; i < counts.size(); ++i) check_close("clipped", p[i]->values(), expected[i], 4 * kEpsilon);
  }

  g[3]->data<float>()[0] = std::nanf("");
  options.max_norm = 1;
  REQUIRE(cpu::sgd_step(&context, 5, ps.data(), gs.data(), nullptr, &options) == TERSOR_OK);
  CHECK(std::isnan((*p[0])[0]));
}

}  // namespace tersor::test
