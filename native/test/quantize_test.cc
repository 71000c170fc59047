#include <limits>
#include <string>

#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

const std::vector<float> kTextbook = {0.9f, 0.1f, 0.2f, 0.4f, 0.6f, 0.8f, 0.1f, 0.9f, 0.5f};

struct Case {
  int64_t rows, columns, group_size;
  bool shared;  // one row of parameters for all
  enum { none, zero_points, biases } offset;
  tersor_dtype dtype;
};

// Parameters and data of one case; the codes it should give are worked out element by element, without any block, pack
// or clamp shared with the code under test.
struct Problem {
  Case c;
  int64_t groups, parameter_rows;
  int32_t low, high;
  std::vector<float> x, scales, biases;
  std::vector<int32_t> zero_points;

  explicit Problem(const Case& given) : c(given) {
    Random random(static_cast<uint32_t>(c.rows * 1000 + c.columns));
    groups = (c.columns + c.group_size - 1) / c.group_size;
    parameter_rows = c.shared ? 1 : c.rows;
    low = c.dtype == TERSOR_I8 ? -127 : 0;
    high = c.dtype == TERSOR_I8 ? 127 : (1 << bits_of(c.dtype)) - 1;
    x = random.uniforms<float>(c.rows * c.columns, -2, 2);
    scales = random.uniforms<float>(parameter_rows * groups, 0.003, 0.7);
    biases = random.uniforms<float>(parameter_rows * groups, -2, 0.5);
    zero_points = random.integers<int32_t>(parameter_rows * groups, low, high);
    // Exact ties: x / scale ends in a half.
    for (size_t i = 0; i < x.size(); i += 3) x[i] = (std::floor(x[i]) + 0.5f) * scales[parameter(i)];
  }

  size_t parameter(size_t i) const {
    const auto row = static_cast<int64_t>(i) / c.columns, column = static_cast<int64_t>(i) % c.columns;
    return static_cast<size_t>((c.shared ? 0 : row) * groups + column / c.group_size);
  }

  // By the C library's nearbyint, which rounds half to even by default.
  int32_t code(size_t i) const {
    const size_t p = parameter(i);
    const float v = c.offset == Case::biases ? (x[i] - biases[p]) / scales[p] : x[i] / scales[p];
    const double code = std::nearbyint(static_cast<double>(v)) + (c.offset == Case::zero_points ? zero_points[p] : 0);
    return static_cast<int32_t>(std::clamp<double>(code, low, high));
  }

  float value(size_t i) const {
    const size_t p = parameter(i);
    if (c.offset == Case::biases) return scales[p] * static_cast<float>(code(i)) + biases[p];
    return scales[p] * static_cast<float>(code(i) - (c.offset == Case::zero_points ? zero_points[p] : 0));
  }

  template <typename T>
  std::vector<T> every(T (Problem::*element)(size_t) const) const {
    std::vector<T> all(x.size());
    for (size_t i = 0; i < all.size(); ++i) all[i] = (this->*element)(i);
    return all;
  }
};

// The tensors of a problem and the view that operations take.
struct Affine {
  F32 scales, biases;
  I32 zero_points;
  tersor_affine view;

  explicit Affine(const Problem& p)
      : scales({p.parameter_rows, p.groups}, p.scales),
        biases({p.parameter_rows, p.groups}, p.biases),
        zero_points({p.parameter_rows, p.groups}, p.zero_points),
        view{scales, nullptr, nullptr, p.low, p.high, p.c.group_size} {
    if (p.c.offset == Case::zero_points) view.zero_points = zero_points;
    if (p.c.offset == Case::biases) view.biases = biases;
  }
};

// One scale for everything.
struct PerTensor {
  F32 scale;
  I32 zero_point;
  tersor_affine view;

  PerTensor(float s, int32_t z, int32_t low, int32_t high)
      : scale({1, 1}, {s}), zero_point({1, 1}, {z}), view{scale, zero_point, nullptr, low, high, int64_t{1} << 40} {}
};

// Codes of a matrix read bit by bit from the definition in core/dtype.h.
std::vector<int32_t> read_codes(const Typed<uint8_t>& codes, tersor_dtype dtype, int64_t rows, int64_t columns) {
  const int bits = bits_of(dtype);
  std::vector<int32_t> all;
  for (int64_t row = 0; row < rows; ++row) {
    const uint8_t* bytes = &codes[static_cast<size_t>(row * row_bytes(dtype, columns))];
    for (int64_t bit = 0; bit < columns * bits; bit += bits) {
      int32_t code = 0;
      for (int b = 0; b < bits; ++b) code |= (bytes[(bit + b) / 8] >> ((bit + b) % 8) & 1) << b;
      all.push_back(dtype == TERSOR_I8 ? static_cast<int8_t>(code) : code);
    }
  }
  return all;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const tersor_dtype dtype : {TERSOR_I8, TERSOR_U8, TERSOR_U1, TERSOR_U2, TERSOR_U3, TERSOR_U4}) {
    for (const int64_t columns : {1, 7, 8, 33, 511, 512, 513, 1030}) {
      for (const int64_t group_size : {int64_t{1}, int64_t{5}, int64_t{32}, int64_t{700}, columns}) {
        for (const auto offset : {Case::none, Case::zero_points, Case::biases}) {
          all.push_back({3, columns, group_size, group_size % 2 == 0, offset, dtype});
        }
      }
    }
  }
  return all;
}

}  // namespace

TEST_CASE("quantize, dequantize, fake_quantize: every code type, group and offset against an element-wise reference") {
  for (const Case& c : cases()) {
    CAPTURE(name_of(c.dtype));
    CAPTURE(c.columns);
    CAPTURE(c.group_size);
    CAPTURE(static_cast<int>(c.offset));
    Context context;
    const Problem problem(c);
    const Affine affine(problem);
    const F32 x({c.rows, c.columns}, problem.x);
    const Typed<uint8_t> codes({c.rows, c.columns}, c.dtype);
    REQUIRE(cpu::quantize(&context, x, &affine.view, codes) == TERSOR_OK);
    check_same_bits("codes", read_codes(codes, c.dtype, c.rows, c.columns), problem.every(&Problem::code));

    const F32 y({c.rows, c.columns}), fake({c.rows, c.columns});
    REQUIRE(cpu::dequantize(&context, codes, &affine.view, nullptr, y) == TERSOR_OK);
    check_same_bits("values", y.values(), problem.every(&Problem::value));
    REQUIRE(cpu::fake_quantize(&context, x, &affine.view, fake) == TERSOR_OK);
    check_same_bits("fake values", fake.values(), y.values());
    REQUIRE(cpu::fake_quantize(&context, x, &affine.view, x) == TERSOR_OK);
    check_same_bits("fake values in place", x.values(), y.values());

    const I32 ids({4}, {2, 0, 2, 1});
    const F32 chosen({4, c.columns});
    REQUIRE(cpu::dequantize(&context, codes, &affine.view, ids, chosen) == TERSOR_OK);
    for (size_t i = 0; i < 4; ++i) {
      const auto all = y.values(), some = chosen.values();
      const auto from = all.begin() + ids[i] * c.columns, to = some.begin() + static_cast<int64_t>(i) * c.columns;
      check_same_bits("row by id", {to, to + c.columns}, std::vector<float>(from, from + c.columns));
    }
  }
}

TEST_CASE("quantize: textbook symmetric int8, s = 0.9 / 127") {
  Context context;
  const F32 x({3, 3}, kTextbook);
  const Typed<int8_t> codes({3, 3});
  const PerTensor affine(0.9f / 127, 0, -127, 127);
  REQUIRE(cpu::quantize(&context, x, &affine.view, codes) == TERSOR_OK);
  check_same_bits("codes", codes.values(), {127, 14, 28, 56, 85, 113, 14, 127, 71});
}

TEST_CASE("quantize: textbook affine int8 over [0, 0.9]") {
  Context context;
  const F32 x({3, 3}, kTextbook);
  const Typed<int8_t> codes({3, 3});
  const PerTensor affine(0.9f / 255, -128, -128, 127);
  REQUIRE(cpu::quantize(&context, x, &affine.view, codes) == TERSOR_OK);
  check_same_bits("codes", codes.values(), {127, -100, -71, -15, 42, 99, -100, 127, 14});
}

TEST_CASE("fake_quantize_gradient: textbook scale 2^-8 clips five of nine weights") {
  Context context;
  const F32 x({3, 3}, kTextbook), dy({3, 3}, std::vector<float>(9, 2.0f)), dx({3, 3});
  const PerTensor affine(0x1p-8f, 0, -128, 127);
  REQUIRE(cpu::fake_quantize_gradient(&context, x, &affine.view, dy, dx) == TERSOR_OK);
  check_same_bits("dx", dx.values(), {0, 2, 2, 2, 0, 0, 2, 0, 0});
}

TEST_CASE("fake_quantize: textbook rounding to steps of 0.1 returns the matrix") {
  Context context;
  const std::vector<float> w = {1.0f, 0.5f, 0.1f, 0.2f, 0.8f, 0.3f, 0.4f, 0.6f, 0.9f};
  const F32 x({3, 3}, w), y({3, 3});
  const PerTensor affine(0.1f, 0, -127, 127);
  REQUIRE(cpu::fake_quantize(&context, x, &affine.view, y) == TERSOR_OK);
  // 0.1f is off by eps relative; so is the product.
  check_close("y", y.values(), {w.begin(), w.end()}, 2 * kEpsilon);
}

TEST_CASE("fake_quantize: a step of 2^n zeroes ordinary weights") {
  Context context;
  const F32 x({3, 3}, kTextbook);
  const PerTensor affine(0x1p8f, 0, -128, 127);
  REQUIRE(cpu::fake_quantize(&context, x, &affine.view, x) == TERSOR_OK);
  check_same_bits("x", x.values(), std::vector<float>(9, 0.0f));
}

TEST_CASE("quantize: ties go to the even code, also at the ends of the range and for halves that clamp") {
  Context context;
  const F32 x({1, 12}, {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 126.5f, 127.5f, -127.5f, -128.5f, 3e38f, -3e38f});
  const Typed<int8_t> codes({1, 12});
  const PerTensor affine(1.0f, 0, -128, 127);
  REQUIRE(cpu::quantize(&context, x, &affine.view, codes) == TERSOR_OK);
  check_same_bits("codes", codes.values(), {0, 2, 2, 0, -2, -2, 126, 127, -128, -128, 127, -128});
}

TEST_CASE("fake_quantize: the weight that set the scale keeps its gradient") {
  Context context;
  for (const float largest : uniform(1000, 71, 0.01, 10)) {
    const F32 x({1, 1}, {largest}), dx({1, 1}, {1.0f});
    const PerTensor affine(largest / 127, 0, -127, 127);
    REQUIRE(cpu::fake_quantize_gradient(&context, x, &affine.view, dx, dx) == TERSOR_OK);
    REQUIRE(dx[0] == 1.0f);
  }
}

TEST_CASE("fake_quantize_gradient: passes exactly where no code was clamped") {
  for (const auto offset : {Case::zero_points, Case::biases}) {
    Context context;
    const Problem problem({5, 70, 32, false, offset, TERSOR_U4});
    const Affine affine(problem);
    const auto slope = uniform(5 * 70, 72);
    std::vector<float> expected(slope.size());
    for (size_t i = 0; i < slope.size(); ++i) {
      const size_t p = problem.parameter(i);
      const float v = offset == Case::biases ? (problem.x[i] - problem.biases[p]) / problem.scales[p]
                                             : problem.x[i] / problem.scales[p];
      const double code =
          std::nearbyint(static_cast<double>(v)) + (offset == Case::biases ? 0 : problem.zero_points[p]);
      expected[i] = code >= 0 && code <= 15 ? slope[i] : 0.0f;
    }
    const F32 x({5, 70}, problem.x), dy({5, 70}, slope);
    REQUIRE(cpu::fake_quantize_gradient(&context, x, &affine.view, dy, dy) == TERSOR_OK);
    check_same_bits("dx", dy.values(), expected);
  }
}

TEST_CASE("quantization: NaN and infinity are found, with their place, before they become codes") {
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    Context context;
    std::vector<float> values(2 * 600, 0.25f);
    values[600 + 517] = bad;
    const F32 x({2, 600}, values), y({2, 600}), low({2, 1}), high({2, 1}), one({1, 1}), two({1, 1});
    const PerTensor affine(1.0f, 0, 0, 15);
    for (const tersor_dtype dtype : {TERSOR_I8, TERSOR_U8, TERSOR_U4}) {
      const Typed<uint8_t> codes({2, 600}, dtype);
      CHECK(cpu::quantize(&context, x, &affine.view, codes) == TERSOR_NOT_FINITE);
      CHECK(std::string(context.message).find("at x[1, 517]") != std::string::npos);
    }
    CHECK(cpu::min_max(&context, x, 600, low, high) == TERSOR_NOT_FINITE);
    CHECK(std::string(context.message).find("at x[1, 517]") != std::string::npos);
    CHECK(cpu::min_max(&context, x, 600, one, two) == TERSOR_NOT_FINITE);
    CHECK(std::string(context.message).find("at x[1, 517]") != std::string::npos);
    CHECK(cpu::fake_quantize(&context, x, &affine.view, y) == TERSOR_NOT_FINITE);
    CHECK(cpu::fake_quantize(&context, x, &affine.view, x) == TERSOR_NOT_FINITE);
    CHECK(std::string(context.message).find("at x[1, 517]") != std::string::npos);
  }
}

TEST_CASE("quantization: unusable parameters are named with their place") {
  const F32 x({2, 4}, std::vector<float>(8, 0.5f)), y({2, 4});
  const Typed<uint8_t> codes({2, 4}, std::vector<uint8_t>(8, 1));
  for (const float bad : {0.0f, -0.1f, kNan, kInfinity}) {
    Context context;
    const F32 scales({2, 2}, {1, 1, 1, bad});
    const tersor_affine affine{scales, nullptr, nullptr, 0, 15, 2};
    for (const tersor_status status :
         {cpu::quantize(&context, x, &affine, codes), cpu::dequantize(&context, codes, &affine, nullptr, y),
          cpu::fake_quantize(&context, x, &affine, y), cpu::fake_quantize_gradient(&context, x, &affine, y, y)}) {
      CHECK(status == TERSOR_INVALID_ARGUMENT);
      CHECK(std::string(context.message).find("at scales[1, 1]") != std::string::npos);
    }
    // A lookup that does not touch the bad row does not trip over it.
    const I32 ids({1}, {0});
    const F32 row({1, 4});
    CHECK(cpu::dequantize(&context, codes, &affine, ids, row) == TERSOR_OK);
  }
  Context context;
  const F32 scales({1, 1}, {1}), biases({1, 1}, {kNan}), two_groups({1, 2}, {1, 1});
  const I32 zero_points({1, 1}, {1 << 30});
  const tersor_affine bad_bias{scales, nullptr, biases, 0, 15, 4}, bad_zero{scales, zero_points, nullptr, 0, 15, 4};
  CHECK(cpu::quantize(&context, x, &bad_bias, codes) == TERSOR_INVALID_ARGUMENT);
  CHECK(cpu::quantize(&context, x, &bad_zero, codes) == TERSOR_INVALID_ARGUMENT);
  const tersor_affine upside_down{scales, nullptr, nullptr, 3, 2, 4}, no_group{scales, nullptr, nullptr, 0, 15, 0},
      too_wide{scales, nullptr, nullptr, 0, 256, 4}, other_groups{two_groups, nullptr, nullptr, 0, 15, 4};
  CHECK(cpu::quantize(&context, x, &upside_down, codes) == TERSOR_INVALID_ARGUMENT);
  CHECK(cpu::quantize(&context, x, &no_group, codes) == TERSOR_INVALID_ARGUMENT);
  CHECK(cpu::quantize(&context, x, &too_wide, codes) == TERSOR_OUT_OF_RANGE);
  CHECK(cpu::quantize(&context, x, &other_groups, codes) == TERSOR_INVALID_SHAPE);
}

TEST_CASE("dequantize: ids outside the table are named") {
  Context context;
  const Typed<uint8_t> codes({3, 5}, TERSOR_U2);
  const PerTensor affine(1.0f, 0, 0, 3);
  const I32 ids({2}, {0, 3});
  const F32 y({2, 5});
  CHECK(cpu::dequantize(&context, codes, &affine.view, ids, y) == TERSOR_OUT_OF_RANGE);
  CHECK(std::string(context.message) == "expected 0 <= id < 3, got 3, at ids[1]");
}

TEST_CASE("quantization: no rows and no columns") {
  Context context;
  const PerTensor affine(1.0f, 0, 0, 3);
  for (const Shape& shape : {Shape{0, 5}, Shape{5, 0}, Shape{0, 0}}) {
    const F32 x(shape), y(shape);
    const Typed<uint8_t> codes(shape, TERSOR_U2);
    CHECK(cpu::quantize(&context, x, &affine.view, codes) == TERSOR_OK);
    CHECK(cpu::dequantize(&context, codes, &affine.view, nullptr, y) == TERSOR_OK);
    CHECK(cpu::fake_quantize(&context, x, &affine.view, y) == TERSOR_OK);
    CHECK(cpu::fake_quantize_gradient(&context, x, &affine.view, y, y) == TERSOR_OK);
    const F32 low({1, 1}), high({1, 1});
    CHECK(cpu::min_max(&context, x, 8, low, high) == TERSOR_INVALID_SHAPE);
  }
}

TEST_CASE("min_max: every group, per row and shared, against a plain loop") {
  for (const int64_t columns : {1, 5, 32, 100}) {
    for (const int64_t group_size : {int64_t{1}, int64_t{7}, int64_t{32}, int64_t{1000}}) {
      for (const bool shared : {false, true}) {
        CAPTURE(columns);
        CAPTURE(group_size);
        CAPTURE(shared);
        Context context;
        const int64_t rows = 4, groups = (columns + group_size - 1) / group_size, parameter_rows = shared ? 1 : rows;
        const auto values = uniform(rows * columns, 73);
        std::vector<float> low(static_cast<size_t>(parameter_rows * groups), kInfinity), high(low.size(), -kInfinity);
        for (int64_t i = 0; i < rows * columns; ++i) {
          const auto at = static_cast<size_t>((shared ? 0 : i / columns) * groups + i % columns / group_size);
          const float v = values[static_cast<size_t>(i)];
          low[at] = std::min(low[at], v), high[at] = std::max(high[at], v);
        }
        const F32 x({rows, columns}, values), minimum({parameter_rows, groups}), maximum({parameter_rows, groups});
        REQUIRE(cpu::min_max(&context, x, group_size, minimum, maximum) == TERSOR_OK);
        check_same_bits("minimum", minimum.values(), low);
        check_same_bits("maximum", maximum.values(), high);
      }
    }
  }
}

TEST_CASE("quantization: same bits for any thread count") {
  const Problem problem({3000, 130, 64, false, Case::zero_points, TERSOR_U3});
  same_for_any_thread_count("codes and values", [&] {
    Context context;
    const Affine affine(problem);
    const F32 x({3000, 130}, problem.x), y({3000, 130}), low({1, 1}), high({1, 1});
    const Typed<uint8_t> codes({3000, 130}, TERSOR_U3);
    REQUIRE(cpu::quantize(&context, x, &affine.view, codes) == TERSOR_OK);
    REQUIRE(cpu::dequantize(&context, codes, &affine.view, nullptr, y) == TERSOR_OK);
    REQUIRE(cpu::min_max(&context, x, 130, low, high) == TERSOR_OK);
    auto all = y.values();
    all.push_back(low[0]);
    all.push_back(high[0]);
    return all;
  });
}

}  // namespace tersor::test
