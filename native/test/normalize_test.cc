// Layer norm and RMS norm: every kernel of the machine against float64.
#include <limits>
#include <string>

#include "cpu/nn/normalize_rows.h"
#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

struct Reference {
  std::vector<double> y, dx, weight_gradient, bias_gradient;
  double factor = 0;
};

Reference normalize64(const std::vector<float>& x, const std::vector<float>& w, const std::vector<float>& b,
                      const std::vector<float>& dy, double epsilon, bool center) {
  const size_t n = x.size();
  const auto count = static_cast<double>(n);
  const auto d = [](float v) { return static_cast<double>(v); };
  double mean = 0, variance = 0, slope = 0, along = 0;
  for (const float v : x) mean += center ? d(v) / count : 0;
  for (const float v : x) variance += (d(v) - mean) * (d(v) - mean) / count;
  Reference r{std::vector<double>(n), std::vector<double>(n), std::vector<double>(n), std::vector<double>(n)};
  r.factor = 1 / std::sqrt(variance + epsilon);
  const auto z = [&](size_t i) { return (d(x[i]) - mean) * r.factor; };
  for (size_t i = 0; i < n; ++i) {
    slope += center ? d(dy[i]) * d(w[i]) / count : 0;
    along += d(dy[i]) * d(w[i]) * z(i) / count;
  }
  for (size_t i = 0; i < n; ++i) {
    r.y[i] = z(i) * d(w[i]) + d(b[i]);
    r.dx[i] = r.factor * (d(dy[i]) * d(w[i]) - slope - z(i) * along);
    r.weight_gradient[i] = d(dy[i]) * z(i);
    r.bias_gradient[i] = d(dy[i]);
  }
  return r;
}

}  // namespace

TEST_CASE("normalize kernels: values and gradients against float64, a large mean included") {
  for_each_kernel(cpu::normalize_kernels, [](const std::string& isa, auto kernel) {
    CAPTURE(isa);
    for (const int64_t columns : {1, 2, 7, 16, 17, 64, 130, 768, 1500}) {
      for (const bool center : {true, false}) {
        for (const float shift : {0.0f, 4096.0f}) {
          if (shift != 0 && (!center || columns == 1)) continue;
          CAPTURE(columns);
          CAPTURE(center);
          CAPTURE(shift);
          auto x = uniform(columns, 81);
          for (float& v : x) v += shift;
          const auto w = uniform(columns, 82, 0.5, 2), b = uniform(columns, 83), dy = uniform(columns, 84);
          const float epsilon = 1e-5f;
          const Reference r = normalize64(x, w, b, dy, static_cast<double>(epsilon), center);
          // The mean rounds to eps * shift, which the factor 1 / deviation magnifies.
          const double moved = static_cast<double>(shift) * r.factor * kEpsilon;
          const double size = static_cast<double>(columns == 1 && center ? 1 : 2);
          F32 tx({columns}, x), tw({columns}, w), tb({columns}, b), tdy({columns}, dy), y({columns});
          const cpu::Normalization norm{tw.data<float>(), tb.data<float>(), epsilon, center};
          kernel().normalize(norm, tx.data<float>(), columns, y.data<float>());
          check_close("y", y.values(), r.y, size * (40 * kEpsilon + 2 * moved));

          F32 dw({columns}, std::vector<float>(static_cast<size_t>(columns), 0.0f));
          F32 db({columns}, std::vector<float>(static_cast<size_t>(columns), 0.0f));
          kernel().gradient(norm, tx.data<float>(), tdy.data<float>(), columns, tdy.data<float>(), dw.data<float>(),
                            db.data<float>());
          check_close("dx", tdy.values(), r.dx, r.factor * 4 * (80 * kEpsilon + 4 * moved));
          check_close("weight gradient", dw.values(), r.weight_gradient, 2 * (20 * kEpsilon + moved));
          check_close("bias gradient", db.values(), r.bias_gradient, 0.0);
        }
      }
    }
  });
}

TEST_CASE("normalize kernels: without weight and bias, and NaN and infinity stay in their row") {
  for_each_kernel(cpu::normalize_kernels, [](const std::string& isa, auto kernel) {
    CAPTURE(isa);
    F32 x({4}, {1, 2, 3, 4}), y({4});
    kernel().normalize({nullptr, nullptr, 0.0f, true}, x.data<float>(), 4, y.data<float>());
    const double unit = std::sqrt(1.25);
    check_close("y", y.values(), {-1.5 / unit, -0.5 / unit, 0.5 / unit, 1.5 / unit}, 8 * kEpsilon);
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      F32 z({3}, {1, bad, 3});
      kernel().normalize({nullptr, nullptr, 1e-5f, true}, z.data<float>(), 3, y.data<float>());
      for (size_t i = 0; i < 3; ++i) CHECK(std::isnan(y[i]));
    }
  });
}

TEST_CASE("normalize_gradient: parameters' gradients sum over rows, same bits for any thread count") {
  const int64_t rows = 999, columns = 300;
  const auto x = uniform(rows * columns, 91), w = uniform(columns, 92), dy = uniform(rows * columns, 93);
  std::vector<double> expected(static_cast<size_t>(2 * columns), 0.0);
  for (int64_t row = 0; row < rows; ++row) {
    const auto at = [&](const std::vector<float>& v) {
      return std::vector<float>(v.begin() + row * columns, v.begin() + (row + 1) * columns);
    };
    const Reference r = normalize64(at(x), w, w, at(dy), 1e-5, true);
    for (int64_t j = 0; j < columns; ++j) {
      expected[j] += r.weight_gradient[j];
      expected[columns + j] += r.bias_gradient[j];
    }
  }
  const auto all = same_for_any_thread_count("gradients", [&] {
    Context context;
    F32 tx({rows, columns}, x), tw({columns}, w), tdy({rows, columns}, dy), dx({rows, columns});
    F32 dw({columns}), db({columns});
    const tersor_normalization norm{tw, nullptr, 1e-5f, 1};
    REQUIRE(cpu::normalize_gradient(&context, tx, &norm, tdy, dx, dw, db) == TERSOR_OK);
    auto values = dw.values();
    const auto bias = db.values(), slopes = dx.values();
    values.insert(values.end(), bias.begin(), bias.end());
    values.insert(values.end(), slopes.begin(), slopes.end());
    return values;
  });
  // Sums of `rows` terms of size 2 in parts: a few eps for each term of a part and each part.
  check_close("sums", {all.begin(), all.begin() + 2 * columns}, expected, 2 * kEpsilon * 0.2 * rows);

  Context context;
  F32 none({0, columns}), dw({columns}), tw({columns}, w);
  const tersor_normalization norm{tw, nullptr, 1e-5f, 1};
  REQUIRE(cpu::normalize_gradient(&context, none, &norm, none, none, dw, nullptr) == TERSOR_OK);
  for (const float v : dw.values()) CHECK(v == 0.0f);
}

}  // namespace tersor::test
