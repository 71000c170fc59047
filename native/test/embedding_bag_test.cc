// Bags of rows against sums, means and maxima in float64, for every kernel that this machine can run.
#include <limits>

#include "core/half.h"
#include "cpu/embedding/bag.h"
#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

using cpu::BagFormat;

const BagFormat kFormats[] = {BagFormat::f32,  BagFormat::f16,  BagFormat::bf16,
                              BagFormat::int8, BagFormat::int4, BagFormat::int2};

// A table in one of the formats, and the numbers that its elements stand for, exactly.
struct Table {
  int64_t rows, columns;
  BagFormat format;
  int32_t bits;
  Tensor memory;
  std::vector<double> values;      // [rows, columns]
  std::vector<double> magnitudes;  // of what is added up to make a value
  tersor_embedding view;

  static tersor_dtype dtype(BagFormat format) {
    return format == BagFormat::f32    ? TERSOR_F32
           : format == BagFormat::f16  ? TERSOR_F16
           : format == BagFormat::bf16 ? TERSOR_BF16
                                       : TERSOR_U8;
  }
  static int64_t width(int64_t columns, int32_t bits) { return bits > 8 ? columns : (columns * bits + 7) / 8 + 8; }

  Table(int64_t row_count, int64_t column_count, BagFormat row_format, uint32_t seed)
      : rows(row_count),
        columns(column_count),
        format(row_format),
        bits(cpu::element_bits(row_format)),
        memory(dtype(format), {rows, width(columns, bits)}),
        view{*static_cast<const tersor_tensor*>(memory), columns, bits} {
    Random random(seed);
    for (int64_t row = 0; row < rows; ++row) {
      uint8_t* bytes = memory.data<uint8_t>() + row * static_cast<int64_t>(memory.bytes()) / rows;
      const auto scale = static_cast<float>(random.uniform(0.001, 0.1)),
                 bias = static_cast<float>(random.uniform(-2, 2));
      if (bits <= 8) {
        const int64_t code_bytes = (columns * bits + 7) / 8;
        std::memset(bytes, 0, static_cast<size_t>(code_bytes));
        std::memcpy(bytes + code_bytes, &scale, 4);
        std::memcpy(bytes + code_bytes + 4, &bias, 4);
      }
      for (int64_t j = 0; j < columns; ++j) {
        const auto value = static_cast<float>(random.uniform(-1, 1));
        if (bits == 32) {
          std::memcpy(bytes + j * 4, &value, 4);
          add(value, 0);
        } else if (bits == 16) {
          const bool f16 = format == BagFormat::f16;
          const uint16_t half = f16 ? f32_to_f16(value) : f32_to_bf16(value);
          std::memcpy(bytes + j * 2, &half, 2);
          add(f16 ? f16_to_f32(half) : bf16_to_f32(half), 0);
        } else {
          const auto code = static_cast<uint8_t>(random.integer(0, (1 << bits) - 1));
          bytes[j * bits / 8] = static_cast<uint8_t>(bytes[j * bits / 8] | code << (j * bits % 8));
          add(static_cast<double>(scale) * code, bias);
        }
      }
    }
  }

 private:
  void add(double product, double bias) {
    values.push_back(product + bias);
    magnitudes.push_back(std::abs(product) + std::abs(bias));
  }
};

struct Expected {
  std::vector<double> y, tolerance;
};

Expected expected_of(const Table& table, const std::vector<int32_t>& ids, const std::vector<int64_t>& bounds,
                     const std::vector<float>& weights, tersor_bag_mode mode) {
  Expected expected;
  for (size_t bag = 0; bag + 1 < bounds.size(); ++bag) {
    for (int64_t j = 0; j < table.columns; ++j) {
      double sum = 0, magnitude = 0, largest = -HUGE_VAL;
      for (int64_t i = bounds[bag]; i < bounds[bag + 1]; ++i) {
        const auto at = static_cast<size_t>(ids[static_cast<size_t>(i)] * table.columns + j);
        const double weight = weights.empty() ? 1.0 : weights[static_cast<size_t>(i)];
        sum += weight * table.values[at];
        magnitude += std::abs(weight) * table.magnitudes[at];
        largest = std::max(largest, table.values[at]);
      }
      const auto count = static_cast<double>(bounds[bag + 1] - bounds[bag]);
      const double divisor = mode == TERSOR_BAG_MEAN && count > 0 ? count : 1;
      expected.y.push_back(count == 0 ? 0 : mode == TERSOR_BAG_MAX ? largest : sum / divisor);
      // Each term is rounded when it is scaled and when it is added, biases in a sum of their own.
      expected.tolerance.push_back((count + 4) * kEpsilon * (magnitude / divisor + 1e-30));
    }
  }
  return expected;
}

tersor_status run(const Table& table, const tersor_bags& bags, const Tensor& y, Context& context) {
  return cpu::embedding_bag(&context, &table.view, &bags, y);
}

void check_bags(const Table& table, int64_t bag_count, tersor_bag_mode mode, bool weighted, uint32_t seed) {
  Random random(seed);
  std::vector<int64_t> bounds{0};
  for (int64_t bag = 0; bag < bag_count; ++bag) {
    bounds.push_back(bounds.back() + (random.integer(0, 3) == 0 ? 0 : random.integer(1, 40)));
  }
  const int64_t count = bounds.back();
  const auto ids = random.integers<int32_t>(count, 0, table.rows - 1);
  const auto weights = weighted ? random.uniforms<float>(count, -2, 2) : std::vector<float>();
  const I32 id_tensor({count}, ids);
  const I32 offsets({bag_count}, std::vector<int32_t>(bounds.begin(), bounds.end() - 1));
  const F32 weight_tensor({weighted ? count : 0}, weights);
  const tersor_bags bags{id_tensor, offsets, weighted ? static_cast<const tersor_tensor*>(weight_tensor) : nullptr, 0,
                         mode};
  const Expected expected = expected_of(table, ids, bounds, weights, mode);
  for_each_kernel(cpu::bag_kernels(table.format), [&](const std::string& isa, cpu::BagKernel* kernel) {
    const std::string what = isa + ", " + std::to_string(table.bits) + " bit (" +
                             std::to_string(static_cast<int>(table.format)) + "), " + std::to_string(table.columns) +
                             " columns, mode " + std::to_string(mode) + (weighted ? ", weighted" : "");
    const auto y = same_for_any_thread_count(what, [&] {
      const F32 out({bag_count, table.columns});
      Context context;
      REQUIRE(cpu::embedding_bag_with(kernel, &context, &table.view, &bags, out) == TERSOR_OK);
      return out.values();
    });
    check_close(what, y, expected.y, expected.tolerance);
  });
}

}  // namespace

TEST_CASE("embedding_bag: every format, kernel and width against float64") {
  for (const BagFormat format : kFormats) {
    for (const int64_t columns : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 128, 129, 191, 320}) {
      const Table table(50, columns, format, static_cast<uint32_t>(columns * 100 + static_cast<int>(format)));
      check_bags(table, 7, TERSOR_BAG_SUM, false, 1);
      check_bags(table, 7, TERSOR_BAG_SUM, true, 2);
      check_bags(table, 7, TERSOR_BAG_MEAN, false, 3);
      check_bags(table, 7, TERSOR_BAG_MAX, false, 4);
    }
  }
}

TEST_CASE("embedding_bag: random shapes, many bags") {
  Random random(11);
  for (uint32_t trial = 0; trial < 30; ++trial) {
    const BagFormat format = kFormats[random.integer(0, 5)];
    const Table table(random.integer(1, 3000), random.integer(1, 150), format, trial);
    const auto mode = static_cast<tersor_bag_mode>(random.integer(0, 2));
    check_bags(table, random.integer(0, 400), mode, mode == TERSOR_BAG_SUM && random.integer(0, 1) == 1, trial + 100);
  }
}

TEST_CASE("embedding_bag: offsets in both widths, with and without the end, empty bags") {
  const Table table(5, 3, BagFormat::f32, 7);
  const I32 ids({4}, {4, 0, 4, 2});
  const auto row = [&](size_t id, size_t j) { return static_cast<float>(table.values[id * 3 + j]); };
  std::vector<float> expected;
  for (size_t j = 0; j < 3; ++j) expected.push_back(0);
  for (size_t j = 0; j < 3; ++j) expected.push_back(row(4, j) + row(0, j));
  for (size_t j = 0; j < 3; ++j) expected.push_back(0);
  for (size_t j = 0; j < 3; ++j) expected.push_back(row(4, j) + row(2, j));
  const auto bag = [&](const tersor_tensor* offsets, int32_t include_last) {
    const F32 y({4, 3});
    Context context;
    const tersor_bags bags{ids, offsets, nullptr, include_last, TERSOR_BAG_SUM};
    REQUIRE(run(table, bags, y, context) == TERSOR_OK);
    return y.values();
  };
  check_same_bits("i32", bag(I32({4}, {0, 0, 2, 2}), 0), expected);
  check_same_bits("i32 with the end", bag(I32({5}, {0, 0, 2, 2, 4}), 1), expected);
  check_same_bits("i64", bag(Tensor(TERSOR_I64, {4}, std::vector<int64_t>{0, 0, 2, 2}), 0), expected);
  check_same_bits("i64 with the end", bag(Tensor(TERSOR_I64, {5}, std::vector<int64_t>{0, 0, 2, 2, 4}), 1), expected);

  Context context;
  const I32 no_ids({0}), no_offsets({0}), only_end({1}, {0});
  const F32 nothing({0, 3}), one({1, 3});
  CHECK(run(table, {no_ids, no_offsets, nullptr, 0, TERSOR_BAG_SUM}, nothing, context) == TERSOR_OK);
  CHECK(run(table, {no_ids, only_end, nullptr, 1, TERSOR_BAG_SUM}, nothing, context) == TERSOR_OK);
  CHECK(run(table, {no_ids, only_end, nullptr, 0, TERSOR_BAG_MAX}, one, context) == TERSOR_OK);
  check_same_bits("an empty bag", one.values(), std::vector<float>(3, 0.0f));
}

TEST_CASE("embedding_bag: what is out of range is named") {
  const Table table(5, 3, BagFormat::int8, 7);
  const F32 y({2, 3});
  const auto message = [&](const std::vector<int32_t>& ids, const std::vector<int32_t>& offsets, int32_t include_last) {
    const I32 id_tensor({static_cast<int64_t>(ids.size())}, ids);
    const I32 offset_tensor({static_cast<int64_t>(offsets.size())}, offsets);
    Context context;
    const tersor_bags bags{id_tensor, offset_tensor, nullptr, include_last, TERSOR_BAG_SUM};
    CHECK(run(table, bags, y, context) == TERSOR_OUT_OF_RANGE);
    return std::string(context.message);
  };
  CHECK(message({0, 5}, {0, 1}, 0) == "expected 0 <= id < 5, got 5, at ids[1]");
  CHECK(message({-1, 0}, {0, 1}, 0) == "expected 0 <= id < 5, got -1, at ids[0]");
  CHECK(message({0, INT32_MIN}, {0, 1}, 0) == "expected 0 <= id < 5, got -2147483648, at ids[1]");
  CHECK(message({0, 1}, {1, 1}, 0) == "expected 0 <= offset <= 0, got 1, at offsets[0]");
  CHECK(message({0, 1}, {0, 3}, 0) == "expected 0 <= offset <= 2, got 3, at offsets[1]");
  CHECK(message({0, 1, 2}, {0, 2, 1}, 1) == "expected 2 <= offset <= 3, got 1, at offsets[2]");
  CHECK(message({0, 1}, {0, -1}, 0) == "expected 0 <= offset <= 2, got -1, at offsets[1]");
  CHECK(message({0, 1}, {0, 1, 1}, 1) == "expected the last offset to be the number of ids, 2, got 1, at offsets[2]");

  Context context;
  const I32 ids({1}, {0}), none({0});
  const F32 weights({1}, {1.0f});
  CHECK(run(table, {ids, none, nullptr, 0, TERSOR_BAG_SUM}, y, context) == TERSOR_INVALID_SHAPE);
  CHECK(run(table, {ids, none, nullptr, 1, TERSOR_BAG_SUM}, y, context) == TERSOR_INVALID_SHAPE);
  const I32 zero({1}, {0});
  CHECK(run(table, {ids, zero, weights, 0, TERSOR_BAG_MEAN}, y, context) == TERSOR_INVALID_ARGUMENT);
  context.flag = 1;
  const F32 one({1, 3});
  CHECK(run(table, {ids, zero, nullptr, 0, TERSOR_BAG_SUM}, one, context) == TERSOR_CANCELLED);
}

TEST_CASE("embedding_bag: NaN and infinity come through, the maximum of a bag with NaN is NaN") {
  const F32 values({3, 2}, {kNan, 1, 2, -kInfinity, 3, 4});
  const tersor_embedding table{*static_cast<const tersor_tensor*>(values), 2, 32};
  const I32 ids({4}, {1, 0, 2, 1}), offsets({2}, {0, 3});
  for_each_kernel(cpu::bag_kernels(BagFormat::f32), [&](const std::string& isa, cpu::BagKernel* kernel) {
    const auto bag = [&](tersor_bag_mode mode) {
      const F32 y({2, 2});
      Context context;
      const tersor_bags bags{ids, offsets, nullptr, 0, mode};
      REQUIRE(cpu::embedding_bag_with(kernel, &context, &table, &bags, y) == TERSOR_OK);
      return y.values();
    };
    check_close(isa + " max", bag(TERSOR_BAG_MAX), {NAN, 4, 2, -HUGE_VAL}, 0);
    check_close(isa + " sum", bag(TERSOR_BAG_SUM), {NAN, -HUGE_VAL, 2, -HUGE_VAL}, 0);
  });
}

TEST_CASE("embedding_bag_gradient: unique rows, shares added in order, against float64") {
  Random random(21);
  for (uint32_t trial = 0; trial < 40; ++trial) {
    // Rows beyond 2^11 take two digits of the sort, beyond 2^22 three.
    const int64_t rows = trial % 4 == 0 ? random.integer(3000, 6000) : random.integer(1, 60);
    const int64_t columns = random.integer(1, 40), bag_count = random.integer(1, 60);
    const auto mode = static_cast<tersor_bag_mode>(trial % 3);
    const Table table(rows, columns, BagFormat::f32, trial);
    std::vector<int64_t> bounds{0};
    for (int64_t bag = 0; bag < bag_count; ++bag) bounds.push_back(bounds.back() + random.integer(0, 9));
    const int64_t count = bounds.back();
    const auto ids = random.integers<int32_t>(count, 0, rows - 1);
    const bool weighted = mode == TERSOR_BAG_SUM && random.integer(0, 1) == 1;
    const auto weights = weighted ? random.uniforms<float>(count, -2, 2) : std::vector<float>();
    const auto gradient = random.uniforms<float>(bag_count * columns, -1, 1);
    const I32 id_tensor({count}, ids), offsets({bag_count}, std::vector<int32_t>(bounds.begin(), bounds.end() - 1));
    const F32 weight_tensor({weighted ? count : 0}, weights), dy({bag_count, columns}, gradient);
    const tersor_bags bags{id_tensor, offsets, weighted ? static_cast<const tersor_tensor*>(weight_tensor) : nullptr, 0,
                           mode};
    std::vector<double> dense(static_cast<size_t>(rows * columns)), magnitude = dense;
    for (int64_t bag = 0; bag < bag_count; ++bag) {
      const int64_t begin = bounds[static_cast<size_t>(bag)], end = bounds[static_cast<size_t>(bag) + 1];
      for (int64_t j = 0; j < columns; ++j) {
        const auto value = [&](int64_t i) {
          return table.values[static_cast<size_t>(ids[static_cast<size_t>(i)] * columns + j)];
        };
        int64_t largest = begin;
        for (int64_t i = begin; i < end; ++i) largest = value(i) > value(largest) ? i : largest;
        for (int64_t i = begin; i < end; ++i) {
          const double factor = mode == TERSOR_BAG_MEAN  ? 1.0 / static_cast<double>(end - begin)
                                : mode == TERSOR_BAG_MAX ? (i == largest ? 1.0 : 0.0)
                                : weighted               ? weights[static_cast<size_t>(i)]
                                                         : 1.0;
          const double share = factor * gradient[static_cast<size_t>(bag * columns + j)];
          const auto at = static_cast<size_t>(ids[static_cast<size_t>(i)] * columns + j);
          dense[at] += share;
          magnitude[at] += std::abs(share);
        }
      }
    }
    std::vector<int32_t> unique(ids.begin(), ids.end());
    std::sort(unique.begin(), unique.end());
    unique.erase(std::unique(unique.begin(), unique.end()), unique.end());
    const auto found = static_cast<int32_t>(unique.size());
    std::vector<double> expected, tolerance;
    for (const int32_t id : unique) {
      for (int64_t j = 0; j < columns; ++j) {
        expected.push_back(dense[static_cast<size_t>(id * columns + j)]);
        tolerance.push_back(static_cast<double>(count + 3) * kEpsilon *
                            magnitude[static_cast<size_t>(id * columns + j)]);
      }
    }
    unique.resize(static_cast<size_t>(count));
    expected.resize(static_cast<size_t>(count * columns));
    tolerance.resize(expected.size());
    const auto actual = same_for_any_thread_count("gradient", [&] {
      const I32 unique_ids({count}), total({1});
      const F32 row_gradients({count, columns});
      Context context;
      REQUIRE(cpu::embedding_bag_gradient(&context, table.memory, &bags, dy, unique_ids, row_gradients, total) ==
              TERSOR_OK);
      CHECK(total[0] == found);
      check_same_bits("ids", unique_ids.values(), unique);
      return row_gradients.values();
    });
    check_close("trial " + std::to_string(trial), actual, expected, tolerance);
  }
}

TEST_CASE("embedding_bag_gradient: bad ids are named before anything is read") {
  const Table table(5, 3, BagFormat::f32, 7);
  const I32 ids({2}, {4, 5}), offsets({1}, {0}), unique({2}), total({1});
  const F32 dy({1, 3}, {1, 2, 3}), rows({2, 3});
  Context context;
  const tersor_bags bags{ids, offsets, nullptr, 0, TERSOR_BAG_MAX};
  CHECK(cpu::embedding_bag_gradient(&context, table.memory, &bags, dy, unique, rows, total) == TERSOR_OUT_OF_RANGE);
  CHECK(std::string(context.message) == "expected 0 <= id < 5, got 5, at ids[1]");
}

TEST_CASE("fuse_rows: codes of every type keep their values") {
  const int64_t rows = 9;
  struct Case {
    tersor_dtype dtype;
    int from_bits;
    int32_t to_bits;
  };
  for (const auto& [dtype, from_bits, to_bits] : std::vector<Case>{{TERSOR_I8, 8, 8},
                                                                   {TERSOR_U8, 8, 8},
                                                                   {TERSOR_U4, 4, 4},
                                                                   {TERSOR_U4, 4, 8},
                                                                   {TERSOR_U3, 3, 4},
                                                                   {TERSOR_U2, 2, 2},
                                                                   {TERSOR_U1, 1, 2}}) {
    for (const int64_t columns : {1, 5, 64, 1030}) {
      Random random(static_cast<uint32_t>(columns + to_bits));
      const int64_t bytes = row_bytes(dtype, columns);
      std::vector<uint8_t> packed = random.integers<uint8_t>(rows * bytes, 0, 255);
      const Tensor codes(dtype, {rows, columns}, packed);
      const F32 scales({rows, 1}, random.uniforms<float>(rows, 0.01, 1));
      const bool is_signed = dtype == TERSOR_I8;
      const int32_t middle = is_signed ? 0 : 1 << (from_bits - 1);
      const I32 zero_points({rows, 1}, std::vector<int32_t>(static_cast<size_t>(rows), middle));
      const tersor_affine affine{
          scales, zero_points, nullptr, is_signed ? -128 : 0, is_signed ? 127 : (1 << from_bits) - 1, columns};
      const Tensor fused(TERSOR_U8, {rows, (columns * to_bits + 7) / 8 + 8});
      const F32 expected({rows, columns}), actual({rows, columns});
      Context context;
      REQUIRE(cpu::fuse_rows(&context, codes, &affine, to_bits, fused) == TERSOR_OK);
      REQUIRE(cpu::dequantize(&context, codes, &affine, nullptr, expected) == TERSOR_OK);
      std::vector<int32_t> all;
      for (int32_t row = 0; row < rows; ++row) all.push_back(row);
      const I32 ids({rows}, all), offsets({rows}, all);
      const tersor_embedding table{*static_cast<const tersor_tensor*>(fused), columns, to_bits};
      const tersor_bags bags{ids, offsets, nullptr, 0, TERSOR_BAG_MAX};
      REQUIRE(cpu::embedding_bag(&context, &table, &bags, actual) == TERSOR_OK);
      // Without FMA the product is rounded before the (power of two times the) scale is taken off.
      const auto values = expected.values();
      std::vector<double> tolerance;
      for (size_t i = 0; i < values.size(); ++i) {
        tolerance.push_back(256.0 * scales[i / static_cast<size_t>(columns)] * kEpsilon);
      }
      check_close(std::string(name_of(dtype)), actual.values(), std::vector<double>(values.begin(), values.end()),
                  tolerance);
    }
  }
}

TEST_CASE("fuse_rows: one group a row, a scale that is one") {
  const Tensor codes(TERSOR_U8, {2, 4}, std::vector<uint8_t>{1, 2, 3, 4, 5, 6, 7, 8});
  const Tensor fused(TERSOR_U8, {2, 12});
  Context context;
  const F32 four({2, 2}, {1, 1, 1, 1});
  const tersor_affine grouped{four, nullptr, nullptr, 0, 255, 2};
  CHECK(cpu::fuse_rows(&context, codes, &grouped, 8, fused) == TERSOR_UNSUPPORTED);
  const F32 bad({2, 1}, {1, -1});
  const tersor_affine negative{bad, nullptr, nullptr, 0, 255, 4};
  CHECK(cpu::fuse_rows(&context, codes, &negative, 8, fused) == TERSOR_INVALID_ARGUMENT);
  CHECK(std::string(context.message) == "expected a finite scale > 0, got -1, at scales[1, 0]");
  const F32 shared({1, 1}, {0.5f}), biases({1, 1}, {2.0f});
  const tersor_affine per_tensor{shared, nullptr, biases, 0, 255, 4};
  REQUIRE(cpu::fuse_rows(&context, codes, &per_tensor, 8, fused) == TERSOR_OK);
  const tersor_embedding table{*static_cast<const tersor_tensor*>(fused), 4, 8};
  const I32 ids({2}, {0, 1}), offsets({1}, {0});
  const F32 y({1, 4});
  const tersor_bags bags{ids, offsets, nullptr, 0, TERSOR_BAG_SUM};
  REQUIRE(cpu::embedding_bag(&context, &table, &bags, y) == TERSOR_OK);
  check_same_bits("sum", y.values(), std::vector<float>{7, 8, 9, 10});
}

}  // namespace tersor::test
