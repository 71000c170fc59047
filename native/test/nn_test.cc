#include <algorithm>
#include <limits>
#include <string>

#include "cpu/nn/exponential.h"
#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Two chunks of elementwise work and a crumb.
constexpr int64_t kLong = (int64_t{1} << 18) + 13;

}  // namespace

TEST_CASE("elementwise: every length, out of place and in place") {
  Context context;
  for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{15}, int64_t{16}, int64_t{17}, int64_t{100}, kLong}) {
    CAPTURE(count);
    const auto a = uniform(count, 1), b = uniform(count, 2);
    const struct {
      tersor_binary_op op;
      float (*reference)(float, float);
    } cases[] = {{TERSOR_ADD, [](float u, float v) { return u + v; }},
                 {TERSOR_SUB, [](float u, float v) { return u - v; }},
                 {TERSOR_MUL, [](float u, float v) { return u * v; }}};
    for (const auto& c : cases) {
      std::vector<float> expected(a.size());
      std::transform(a.begin(), a.end(), b.begin(), expected.begin(), c.reference);
      F32 ta({count}, a), tb({count}, b), y({count});
      REQUIRE(cpu::binary(&context, c.op, ta, tb, y) == TERSOR_OK);
      check_same_bits("y", y.values(), expected);
      REQUIRE(cpu::binary(&context, c.op, ta, tb, tb) == TERSOR_OK);
      check_same_bits("tb", tb.values(), expected);
    }
    std::vector<float> expected(a);
    for (float& v : expected) v *= 0.3f;
    F32 x({count}, a);
    REQUIRE(cpu::scale(&context, x, 0.3f, x) == TERSOR_OK);
    check_same_bits("x", x.values(), expected);
  }
}

TEST_CASE("binary: a row is repeated for every row") {
  Context context;
  F32 a({2, 3}, {1, 2, 3, 4, 5, 6}), b({3}, {10, 20, 30}), y({2, 3});
  REQUIRE(cpu::binary(&context, TERSOR_ADD, a, b, y) == TERSOR_OK);
  check_same_bits("y", y.values(), {11, 22, 33, 14, 25, 36});
  F32 none({0, 3});
  CHECK(cpu::binary(&context, TERSOR_ADD, none, b, none) == TERSOR_OK);
}

TEST_CASE("elementwise: a raised cancel flag stops the work") {
  Context context;
  context.flag = 1;
  F32 x({kLong});
  CHECK(cpu::scale(&context, x, 2.0f, x) == TERSOR_CANCELLED);
}

TEST_CASE("reduce: sums and extrema of every axis against float64") {
  Context context;
  const int64_t shapes[][2] = {{1, 1}, {1, 9}, {9, 1}, {3, 7}, {17, 64}, {5, 65}, {130, 200}, {3, 100003}, {100003, 3}};
  for (const auto& [rows, columns] : shapes) {
    CAPTURE(rows);
    CAPTURE(columns);
    const auto values = uniform(rows * columns, 7);
    F32 x({rows, columns}, values);
    for (const int32_t axis : {-1, 0, 1}) {
      CAPTURE(axis);
      const int64_t results = axis == -1 ? 1 : axis == 0 ? columns : rows;
      std::vector<double> sum(results, 0.0), magnitude(results, 0.0), low(results, 2.0), high(results, -2.0);
      for (int64_t i = 0; i < rows * columns; ++i) {
        const int64_t to = axis == -1 ? 0 : axis == 0 ? i % columns : i / columns;
        const double v = static_cast<double>(values[i]);
        sum[to] += v, magnitude[to] += std::fabs(v);
        low[to] = std::min(low[to], v), high[to] = std::max(high[to], v);
      }
      // One rounding of the exact sum; the float64 reference and the double accumulators are 2^-53 each step.
      std::vector<double> tolerance(results);
      for (int64_t i = 0; i < results; ++i) tolerance[i] = std::fabs(sum[i]) * kEpsilon + magnitude[i] * 1e-11;
      F32 y({results});
      REQUIRE(cpu::reduce(&context, TERSOR_SUM, x, axis, y) == TERSOR_OK);
      check_close("y", y.values(), sum, tolerance);
      REQUIRE(cpu::reduce(&context, TERSOR_MIN, x, axis, y) == TERSOR_OK);
      check_close("y", y.values(), low, 0.0);
      REQUIRE(cpu::reduce(&context, TERSOR_MAX, x, axis, y) == TERSOR_OK);
      check_close("y", y.values(), high, 0.0);
    }
  }
}

TEST_CASE("reduce: same bits for any thread count") {
  const auto values = uniform(3 * kLong, 3);
  for (const int32_t axis : {-1, 0, 1}) {
    same_for_any_thread_count("result", [&] {
      Context context;
      F32 x({3, kLong}, values), y({axis == -1 ? 1 : axis == 0 ? kLong : 3});
      REQUIRE(cpu::reduce(&context, TERSOR_SUM, x, axis, y) == TERSOR_OK);
      return y.values();
    });
  }
}

TEST_CASE("reduce: nothing to reduce") {
  Context context;
  F32 none({0, 4}), row({4}, {9, 9, 9, 9}), one({1}, {9});
  CHECK(cpu::reduce(&context, TERSOR_SUM, none, 0, row) == TERSOR_OK);
  check_same_bits("row", row.values(), {0, 0, 0, 0});
  CHECK(cpu::reduce(&context, TERSOR_SUM, none, -1, one) == TERSOR_OK);
  CHECK(one[0] == 0.0f);
  CHECK(cpu::reduce(&context, TERSOR_MIN, none, 0, row) == TERSOR_INVALID_SHAPE);
  CHECK(cpu::reduce(&context, TERSOR_MAX, none, -1, one) == TERSOR_INVALID_SHAPE);
  F32 no_rows({0});
  CHECK(cpu::reduce(&context, TERSOR_MAX, none, 1, no_rows) == TERSOR_OK);
}

TEST_CASE("reduce: a vector has one axis, and a NaN shows in every result") {
  Context context;
  F32 x({3}, {1, kNan, 3}), y({1});
  for (const auto op : {TERSOR_SUM, TERSOR_MIN, TERSOR_MAX}) {
    for (const int32_t axis : {0, -1}) {
      REQUIRE(cpu::reduce(&context, op, x, axis, y) == TERSOR_OK);
      CHECK(std::isnan(y[0]));
    }
  }
  CHECK(cpu::reduce(&context, TERSOR_SUM, x, 1, y) == TERSOR_INVALID_ARGUMENT);
}

TEST_CASE("exp: within two units in the last place on the whole negative axis") {
  double worst = 0;
  float at = 0;
  for (float x = 0.0f; x > -87.3f; x -= 0.000917f) {
    const double expected = std::exp(static_cast<double>(x));
    const double error = std::fabs(static_cast<double>(cpu::exp_of_nonpositive(x)) - expected) / expected;
    if (error > worst) worst = error, at = x;
  }
  CAPTURE(at);
  CHECK(worst < 4 * kEpsilon);
  CHECK(cpu::exp_of_nonpositive(0.0f) == 1.0f);
  CHECK(cpu::exp_of_nonpositive(-200.0f) == 0.0f);
  CHECK(cpu::exp_of_nonpositive(-kInfinity) == 0.0f);
  CHECK(std::isnan(cpu::exp_of_nonpositive(kNan)));
}

TEST_CASE("softmax: against float64, for logits that overflow exp, in place") {
  Context context;
  for (const int64_t columns : {1, 2, 10, 16, 33, 1000}) {
    CAPTURE(columns);
    const int64_t rows = 5;
    auto values = uniform(rows * columns, 11, -30.0f, 30.0f);
    for (int64_t j = 0; j < columns; ++j) values[j] += 1e4f;
    std::vector<double> expected(values.size()), tolerance(values.size());
    for (int64_t r = 0; r < rows; ++r) {
      double largest = -1e30, total = 0;
      for (int64_t j = 0; j < columns; ++j) largest = std::max(largest, static_cast<double>(values[r * columns + j]));
      for (int64_t j = 0; j < columns; ++j) total += std::exp(values[r * columns + j] - largest);
      for (int64_t j = 0; j < columns; ++j) {
        expected[r * columns + j] = std::exp(values[r * columns + j] - largest) / total;
        // exp within 4 eps, its argument within eps of its size, sum and two roundings.
        const double shift = largest - static_cast<double>(values[r * columns + j]);
        tolerance[r * columns + j] = expected[r * columns + j] * (12 + shift) * kEpsilon + 1e-37;
      }
    }
    F32 x({rows, columns}, values);
    REQUIRE(cpu::softmax(&context, x, x) == TERSOR_OK);
    check_close("x", x.values(), expected, tolerance);
  }
}

TEST_CASE("softmax: masked logits get exactly zero") {
  Context context;
  F32 x({1, 3}, {0.0f, -kInfinity, 0.0f}), y({1, 3});
  REQUIRE(cpu::softmax(&context, x, y) == TERSOR_OK);
  check_same_bits("y", y.values(), {0.5f, 0.0f, 0.5f});
}

TEST_CASE("gather and scatter_add: rows by id, equal ids added in order") {
  Context context;
  F32 table({3, 2}, {1, 2, 3, 4, 5, 6}), rows({4, 2});
  I32 ids({4}, {2, 0, 2, 2});
  REQUIRE(cpu::gather(&context, table, ids, rows) == TERSOR_OK);
  check_same_bits("rows", rows.values(), {5, 6, 1, 2, 5, 6, 5, 6});

  // 2^24 + 1 - 2^24: the order decides whether 0 or 1 is left.
  F32 sums({3, 1}, {0, 0, 0}), terms({3, 1}, {0x1p24f, 1.0f, -0x1p24f});
  I32 same({3}, {1, 1, 1});
  REQUIRE(cpu::scatter_add(&context, terms, same, sums) == TERSOR_OK);
  check_same_bits("sums", sums.values(), {0, 0, 0});
}

TEST_CASE("gather: rows of f16 and bf16 as the numbers that they stand for") {
  Context context;
  Random random(3);
  for (const int64_t columns : {0, 1, 3, 8, 33, 200}) {
    for (const tersor_dtype dtype : {TERSOR_F16, TERSOR_BF16}) {
      // Every pattern of bits: subnormals, infinities and NaN too.
      const Tensor table(dtype, {50, columns}, random.integers<uint16_t>(50 * columns, 0, 0xffff));
      const I32 ids({70}, random.integers<int32_t>(70, 0, 49));
      const F32 numbers({50, columns}), expected({70, columns});
      REQUIRE(cpu::cast(&context, table, numbers) == TERSOR_OK);
      REQUIRE(cpu::gather(&context, numbers, ids, expected) == TERSOR_OK);
      const std::string what = std::to_string(columns) + " columns of " + name_of(dtype);
      const auto rows = same_for_any_thread_count(what, [&] {
        const F32 y({70, columns});
        REQUIRE(cpu::gather(&context, table, ids, y) == TERSOR_OK);
        return y.values();
      });
      check_same_bits(what, rows, expected.values());
    }
  }
}

TEST_CASE("scatter_add: large, against a plain loop, same bits for any thread count") {
  const int64_t table_rows = 37, columns = 33, count = 9001;
  const auto values = uniform(count * columns, 5);
  const auto ids = Random(6).integers<int32_t>(count, 0, table_rows - 1);
  std::vector<float> expected(table_rows * columns, 1.0f);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < columns; ++j) expected[ids[i] * columns + j] += values[i * columns + j];
  }
  same_for_any_thread_count("result", [&] {
    Context context;
    F32 rows({count, columns}, values), table({table_rows, columns}, std::vector<float>(expected.size(), 1.0f));
    I32 tensor_ids({count}, ids);
    REQUIRE(cpu::scatter_add(&context, rows, tensor_ids, table) == TERSOR_OK);
    check_same_bits("table", table.values(), expected);
    return table.values();
  });
}

TEST_CASE("ids outside the table are named and leave it untouched") {
  Context context;
  for (const int32_t bad : {3, -1, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min()}) {
    CAPTURE(bad);
    F32 table({3, 2}, {1, 2, 3, 4, 5, 6}), rows({2, 2}, {7, 7, 7, 7});
    I32 ids({2}, {1, bad});
    CHECK(cpu::scatter_add(&context, rows, ids, table) == TERSOR_OUT_OF_RANGE);
    CHECK(std::string(context.message) == "expected 0 <= id < 3, got " + std::to_string(bad) + ", at ids[1]");
    check_same_bits("table", table.values(), {1, 2, 3, 4, 5, 6});
    CHECK(cpu::gather(&context, table, ids, rows) == TERSOR_OUT_OF_RANGE);
  }
  F32 empty({0, 2}), rows({1, 2}), no_rows({0, 2});
  I32 zero({1}, {0}), none({0});
  CHECK(cpu::gather(&context, empty, zero, rows) == TERSOR_OUT_OF_RANGE);
  CHECK(cpu::gather(&context, empty, none, no_rows) == TERSOR_OK);
}

}  // namespace tersor::test
