#include "cpu/int8/gemm_int8.h"

#include <algorithm>
#include <limits>
#include <string>

#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

using cpu::gemm_int8_kernels;
using cpu::gemm_int8_with;
using cpu::Int8Kernel;

constexpr int64_t kLongestSum = TERSOR_LONGEST_INT8_SUM;

// x of any of the three kinds, as the numbers that count: codes less their zero point.
struct Problem {
  int64_t m, n, k;
  std::vector<uint8_t> x;
  std::vector<int8_t> w;
  std::vector<float> scales, bias, residual;
  tersor_int8_codes input{0.037f, 0};
  tersor_activation activation = TERSOR_IDENTITY;

  Problem(int64_t m_, int64_t n_, int64_t k_, int32_t zero_point, bool one_scale, bool has_bias) : m(m_), n(n_), k(k_) {
    input.zero_point = zero_point;
    x = Random(1).integers<uint8_t>(m * k, 0, 255);
    w = Random(2).integers<int8_t>(n * k, -128, 127);
    scales = Random(3).uniforms<float>(one_scale ? 1 : n, 0.001, 0.1);
    if (has_bias) bias = Random(4).uniforms<float>(n, -1, 1);
  }

  std::string name() const {
    return " " + std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k) + ", zero point " +
           std::to_string(input.zero_point);
  }

  // One element by the contract: exact sum, then f32 in its order.
  float element(int64_t i, int64_t j, const uint8_t* codes, const tersor_int8_codes& row) const {
    int64_t sum = 0;
    for (int64_t p = 0; p < k; ++p) {
      sum += (codes[p] - int64_t{row.zero_point}) * w[static_cast<size_t>(j * k + p)];
    }
    const float factor = row.scale * scales[scales.size() == 1 ? 0 : static_cast<size_t>(j)];
    float value = static_cast<float>(sum) * factor;
    if (!bias.empty()) value = value + bias[static_cast<size_t>(j)];
    if (activation == TERSOR_RELU && value < 0) value = 0;
    if (!residual.empty()) value = value + residual[static_cast<size_t>(i * n + j)];
    return value;
  }

  std::vector<float> expected() const {
    std::vector<float> y;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) y.push_back(element(i, j, x.data() + i * k, input));
    }
    return y;
  }

  // Runs body(context, packed weight, scales, epilogue).
  template <typename Body>
  void with_operands(Body&& body) const {
    Context context;
    const Typed<int8_t> weight({n, k}, w);
    const Typed<uint8_t> packed({cpu::int8_bytes(n, k)});
    REQUIRE(cpu::pack_int8(&context, weight, packed) == TERSOR_OK);
    const tersor_int8_weight view{*static_cast<const tersor_tensor*>(packed), n, k};
    const F32 scale({static_cast<int64_t>(scales.size())}, scales), offset({static_cast<int64_t>(bias.size())}, bias),
        added({residual.empty() ? 0 : m, n}, residual);
    const tersor_epilogue epilogue{bias.empty() ? nullptr : static_cast<const tersor_tensor*>(offset), activation,
                                   residual.empty() ? nullptr : static_cast<const tersor_tensor*>(added)};
    body(&context, &view, scale, &epilogue);
  }

  std::vector<float> run(Int8Kernel* kernel) const {
    const Typed<uint8_t> codes({m, k}, x);
    const F32 y({m, n});
    with_operands([&](auto* context, auto* view, const F32& scale, auto* epilogue) {
      CHECK(gemm_int8_with(kernel, context, codes, view, &input, scale, epilogue, nullptr, y) == TERSOR_OK);
    });
    return y.values();
  }

  std::vector<float> run_dynamic(Int8Kernel* kernel, const std::vector<float>& floats) const {
    const F32 values({m, k}, floats), y({m, n});
    with_operands([&](auto* context, auto* view, const F32& scale, auto* epilogue) {
      CHECK(gemm_int8_with(kernel, context, values, view, nullptr, scale, epilogue, nullptr, y) == TERSOR_OK);
    });
    return y.values();
  }
};

void check_every_kernel(const Problem& problem) {
  const std::vector<float> expected = problem.expected();
  for_each_kernel(gemm_int8_kernels, [&](const std::string& isa, Int8Kernel* kernel) {
    check_same_bits(isa + problem.name(), problem.run(kernel), expected);
  });
}

// What numpy makes of one number: a division, rounded half to even, moved and clamped.
uint8_t code_of(float x, const tersor_int8_codes& codes) {
  const double steps = std::nearbyint(double{x / codes.scale});
  return static_cast<uint8_t>(std::clamp(steps + codes.zero_point, 0.0, 255.0));
}

tersor_int8_codes range_codes(const float* x, int64_t k) {
  double low = 0, high = 0;
  for (int64_t p = 0; p < k; ++p) {
    low = std::min(low, double{x[p]});
    high = std::max(high, double{x[p]});
  }
  const auto step = static_cast<float>((high - low) / 255);
  const float scale = step < std::numeric_limits<float>::min() ? 1.0f : step;
  return {scale, static_cast<int32_t>(std::clamp(std::nearbyint(-low / scale), 0.0, 255.0))};
}

TEST_CASE("gemm_int8 gives the bits of the exact sum on every ISA, for every tile and tail") {
  int mix = 0;
  for (const int64_t m : {1, 2, 3, 4, 5, 7, 12, 13, 25}) {
    for (const int64_t n : {1, 2, 31, 32, 33, 65}) {
      for (const int64_t k : {1, 2, 3, 4, 5, 16, 17, 64, 100}) {
        Problem problem(m, n, k, mix * 37 % 256, mix % 3 == 0, mix % 2 == 0);
        problem.activation = mix % 5 < 2 ? TERSOR_RELU : TERSOR_IDENTITY;
        if (mix % 7 == 0) problem.residual = Random(5).uniforms<float>(m * n, -1, 1);
        check_every_kernel(problem);
        ++mix;
      }
    }
  }
}

TEST_CASE("gemm_int8 of random shapes") {
  Random random(77);
  for (int round = 0; round < 40; ++round) {
    const int64_t m = random.integer(0, 40), n = random.integer(0, 100), k = random.integer(0, 700);
    Problem problem(m, n, k, static_cast<int32_t>(random.integer(0, 255)), round % 2 == 0, round % 3 == 0);
    problem.w = random.integers<int8_t>(n * k, -128, 127);
    check_every_kernel(problem);
  }
}

TEST_CASE("gemm_int8 of more than one panel of depth, and of more than one pass of rows") {
  check_every_kernel(Problem(3, 5, 2100, 255, false, true));
  check_every_kernel(Problem(27, 40, 1029, 3, true, true));
  check_every_kernel(Problem(300, 33, 70, 128, false, true));
}

TEST_CASE("gemm_int8 does not saturate at the largest products, up to the longest sum it takes") {
  for (const int64_t k : {int64_t{64}, int64_t{1000}, kLongestSum}) {
    for (const int8_t weight : {int8_t{-128}, int8_t{127}}) {
      for (const int32_t zero_point : {0, 255}) {
        Problem problem(2, 3, k, zero_point, false, false);
        std::fill(problem.x.begin(), problem.x.end(), uint8_t{255});
        std::fill(problem.x.begin(), problem.x.begin() + k, uint8_t{0});
        std::fill(problem.w.begin(), problem.w.end(), weight);
        check_every_kernel(problem);
      }
    }
  }
}

TEST_CASE("gemm_int8 gives the same bits for any thread count") {
  const Problem wide(1, 4100, 600, 7, false, true), tall(700, 70, 130, 7, false, true);
  const auto wide_x = uniform(600, 8), tall_x = uniform(int64_t{700} * 130, 9);
  for_each_kernel(gemm_int8_kernels, [&](const std::string& isa, Int8Kernel* kernel) {
    same_for_any_thread_count(isa + " wide", [&] { return wide.run(kernel); });
    same_for_any_thread_count(isa + " tall", [&] { return tall.run(kernel); });
    same_for_any_thread_count(isa + " wide, dynamic", [&] { return wide.run_dynamic(kernel, wide_x); });
    same_for_any_thread_count(isa + " tall, dynamic", [&] { return tall.run_dynamic(kernel, tall_x); });
  });
}

TEST_CASE("gemm_int8 with an empty dimension") {
  check_every_kernel(Problem(3, 5, 0, 9, false, true));
  check_every_kernel(Problem(0, 5, 3, 9, false, true));
  check_every_kernel(Problem(3, 0, 5, 9, true, false));
}

TEST_CASE("gemm_int8 takes codes i8, which are those of u8 less 128") {
  const Problem problem(13, 37, 75, 0, false, true);
  std::vector<int8_t> moved;
  for (const uint8_t code : problem.x) moved.push_back(static_cast<int8_t>(code - 128));
  for_each_kernel(gemm_int8_kernels, [&](const std::string& isa, Int8Kernel* kernel) {
    const Typed<int8_t> codes({problem.m, problem.k}, moved);
    const F32 y({problem.m, problem.n});
    const tersor_int8_codes input{problem.input.scale, -128};
    problem.with_operands([&](auto* context, auto* view, const F32& scale, auto* epilogue) {
      CHECK(gemm_int8_with(kernel, context, codes, view, &input, scale, epilogue, nullptr, y) == TERSOR_OK);
    });
    check_same_bits(isa, y.values(), problem.expected());
  });
}

TEST_CASE("gemm_int8 quantizes x as numpy does, ties and numbers beyond the range too") {
  Problem problem(9, 40, 1100, 57, false, true);
  problem.input.scale = 0.25f;
  auto floats = uniform(problem.m * problem.k, 6, -80, 80);
  for (size_t i = 0; i < floats.size(); i += 3) floats[i] = std::round(floats[i]) / 8;  // many halves of steps
  for (size_t i = 0; i < floats.size(); ++i) problem.x[i] = code_of(floats[i], problem.input);
  for_each_kernel(gemm_int8_kernels, [&](const std::string& isa, Int8Kernel* kernel) {
    const F32 x({problem.m, problem.k}, floats), y({problem.m, problem.n});
    problem.with_operands([&](auto* context, auto* view, const F32& scale, auto* epilogue) {
      CHECK(gemm_int8_with(kernel, context, x, view, &problem.input, scale, epilogue, nullptr, y) == TERSOR_OK);
    });
    check_same_bits(isa, y.values(), problem.expected());
  });
}

TEST_CASE("gemm_int8 refuses NaN and infinity in x, naming the first one") {
  const Problem problem(5, 3, 1100, 57, false, true);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    auto floats = uniform(problem.m * problem.k, 6);
    floats[2 * 1100 + 1050] = bad;
    floats[3 * 1100 + 2] = bad;
    const F32 x({problem.m, problem.k}, floats), y({problem.m, problem.n});
    problem.with_operands([&](auto* context, auto* view, const F32& scale, auto* epilogue) {
      CHECK(cpu::gemm_int8(context, x, view, &problem.input, scale, epilogue, nullptr, y) == TERSOR_NOT_FINITE);
      CHECK(std::string(context->message).ends_with(", at x[2, 1050]"));
    });
  }
}

TEST_CASE("gemm_int8 quantizes its result on demand") {
  Problem problem(13, 70, 50, 100, false, true);
  problem.activation = TERSOR_RELU;
  problem.bias[3] = NAN;
  problem.bias[4] = INFINITY;
  const tersor_int8_codes output{0.75f, 9};
  std::vector<uint8_t> expected;
  for (const float value : problem.expected()) {
    expected.push_back(std::isnan(value) ? uint8_t{0} : code_of(value, output));
  }
  for_each_kernel(gemm_int8_kernels, [&](const std::string& isa, Int8Kernel* kernel) {
    const Typed<uint8_t> x({problem.m, problem.k}, problem.x), y({problem.m, problem.n});
    problem.with_operands([&](auto* context, auto* view, const F32& scale, auto* epilogue) {
      CHECK(gemm_int8_with(kernel, context, x, view, &problem.input, scale, epilogue, &output, y) == TERSOR_OK);
    });
    check_same_bits(isa, y.values(), expected);
  });
}

TEST_CASE("gemm_int8 without codes for x is gemm_int8 with codes of each row's range") {
  for (const int64_t m : {1, 6, 14}) {
    for (const int64_t k : {1, 17, 64, 1300}) {
      const Problem problem(m, 35, k, 0, m == 6, true);
      std::vector<float> floats, expected;
      for (int64_t i = 0; i < m; ++i) {
        // Rows of both signs, of one sign, of zeros, of very small and of very large numbers.
        const double low[] = {-1, 0, 2, 0, -1e-38, -3.4e38, -5}, high[] = {3, 7, 3, 0, 1e-38, 3.4e38, -4};
        for (const float value : uniform(k, static_cast<uint32_t>(i), low[i % 7], high[i % 7])) floats.push_back(value);
      }
      for (int64_t i = 0; i < m; ++i) {
        const float* row = floats.data() + i * k;
        const tersor_int8_codes codes = range_codes(row, k);
        std::vector<uint8_t> x;
        for (int64_t p = 0; p < k; ++p) x.push_back(code_of(row[p], codes));
        for (int64_t j = 0; j < problem.n; ++j) expected.push_back(problem.element(i, j, x.data(), codes));
      }
      for_each_kernel(gemm_int8_kernels, [&](const std::string& isa, Int8Kernel* kernel) {
        check_same_bits(isa + problem.name(), problem.run_dynamic(kernel, floats), expected);
      });
    }
  }
}

TEST_CASE("gemm_int8 without codes for x is as near to the product of floats as 256 steps a row allow") {
  const Problem problem(20, 50, 333, 0, false, false);
  const auto floats = uniform(problem.m * problem.k, 21, -2, 6);
  std::vector<double> expected, tolerance;
  for (int64_t i = 0; i < problem.m; ++i) {
    for (int64_t j = 0; j < problem.n; ++j) {
      double sum = 0, size = 0;
      for (int64_t p = 0; p < problem.k; ++p) {
        const double w =
            problem.w[static_cast<size_t>(j * problem.k + p)] * double{problem.scales[static_cast<size_t>(j)]};
        sum += double{floats[static_cast<size_t>(i * problem.k + p)]} * w;
        size += std::abs(w);
      }
      expected.push_back(sum);
      // Half a step of rounding and, at the ends of the range, another half of the zero point; then three roundings of
      // f32.
      tolerance.push_back(size * 8.0 / 255 + 4 * kEpsilon * std::abs(sum));
    }
  }
  for_each_kernel(gemm_int8_kernels, [&](const std::string& isa, Int8Kernel* kernel) {
    check_close(isa, problem.run_dynamic(kernel, floats), expected, tolerance);
  });
}

TEST_CASE("gemm_int8 without codes for x: a row with NaN or infinity is NaN, the others do not change") {
  Problem problem(5, 33, 70, 0, false, true);
  const auto floats = uniform(problem.m * problem.k, 6);
  for_each_kernel(gemm_int8_kernels, [&](const std::string& isa, Int8Kernel* kernel) {
    const auto clean = problem.run_dynamic(kernel, floats);
    for (const float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
      auto spoiled = floats;
      spoiled[2 * 70 + 69] = bad;
      const auto y = problem.run_dynamic(kernel, spoiled);
      for (size_t at = 0; at < y.size(); ++at) {
        if (at / 33 == 2) {
          CHECK(std::isnan(y[at]));
        } else if (y[at] != clean[at]) {
          FAIL_CHECK(isa << ": expected " << clean[at] << ", got " << y[at] << ", at element " << at);
        }
      }
    }
  });
}

TEST_CASE("gemm_int8 stops when it is asked to") {
  const Problem problem(4, 40, 50, 7, false, true);
  const Typed<uint8_t> x({problem.m, problem.k}, problem.x);
  const F32 y({problem.m, problem.n});
  problem.with_operands([&](Context* context, auto* view, const F32& scale, auto* epilogue) {
    context->flag = 1;
    CHECK(cpu::gemm_int8(context, x, view, &problem.input, scale, epilogue, nullptr, y) == TERSOR_CANCELLED);
  });
}

TEST_CASE("gemm_int8 refuses sums that could leave 32 bits, and codes that are none") {
  CHECK(kLongestSum == 65793);  // floor((2^31 - 1) / (255 * 128))
  Context context;
  const Typed<uint8_t> x({1, kLongestSum + 1}), packed({cpu::int8_bytes(1, kLongestSum + 1)});
  const F32 long_x({1, kLongestSum + 1}), scales({1}), y({1, 1});
  const tersor_int8_weight long_w{*static_cast<const tersor_tensor*>(packed), 1, kLongestSum + 1};
  const std::string message = "expected at most 65793 columns (sums are exact in 32 bits), got 65794, at gemm_int8";
  const tersor_int8_codes good{1, 0};
  CHECK(cpu::gemm_int8(&context, x, &long_w, &good, scales, nullptr, nullptr, y) == TERSOR_INVALID_SHAPE);
  CHECK(context.message == message);
  CHECK(cpu::gemm_int8(&context, long_x, &long_w, nullptr, scales, nullptr, nullptr, y) == TERSOR_INVALID_SHAPE);
  CHECK(context.message == message);

  const Typed<uint8_t> short_x({1, 1}), short_packed({cpu::int8_bytes(1, 1)});
  const Typed<int8_t> signed_x({1, 1});
  const tersor_int8_weight w{*static_cast<const tersor_tensor*>(short_packed), 1, 1};
  const auto refused = [&](const tersor_tensor* from, const tersor_int8_codes& input, const tersor_int8_codes* output) {
    return cpu::gemm_int8(&context, from, &w, &input, scales, nullptr, output, y);
  };
  for (const int32_t zero_point : {-1, 256}) {
    const tersor_int8_codes codes{1, zero_point};
    CHECK(refused(short_x, codes, nullptr) == TERSOR_OUT_OF_RANGE);
    CHECK(refused(short_x, good, &codes) == TERSOR_OUT_OF_RANGE);
  }
  for (const int32_t zero_point : {-129, 128}) {
    CHECK(refused(signed_x, {1, zero_point}, nullptr) == TERSOR_OUT_OF_RANGE);
  }
  for (const float scale : {0.0f, -1.0f, INFINITY, NAN}) {
    CHECK(refused(short_x, {scale, 0}, nullptr) == TERSOR_INVALID_ARGUMENT);
  }
}

TEST_CASE("gemm_int8 with a packed weight that pack_int8 did not make is wrong, not undefined") {
  Context context;
  const int64_t bytes = cpu::int8_bytes(1, 1);
  const Typed<uint8_t> x({1, 1}, {1}), packed({bytes}, std::vector<uint8_t>(static_cast<size_t>(bytes), 0x80));
  const F32 scales({1}, {1}), y({1, 1}), floats({1, 1}, {1});
  const tersor_int8_weight w{*static_cast<const tersor_tensor*>(packed), 1, 1};
  const tersor_int8_codes input{1, 255};
  for_each_kernel(gemm_int8_kernels, [&](const std::string&, Int8Kernel* kernel) {
    CHECK(gemm_int8_with(kernel, &context, x, &w, &input, scales, nullptr, nullptr, y) == TERSOR_OK);
    CHECK(std::isfinite(y[0]));
    CHECK(gemm_int8_with(kernel, &context, floats, &w, nullptr, scales, nullptr, nullptr, y) == TERSOR_OK);
    CHECK(std::isfinite(y[0]));
  });
}

}  // namespace
}  // namespace tersor::test
