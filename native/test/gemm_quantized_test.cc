#include "cpu/quantized/gemm_quantized.h"

#include <limits>
#include <string>

#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

using cpu::gemm_quantized_kernels;
using cpu::gemm_quantized_with;
using cpu::QuantizedKernel;

enum class Zero { none, points, biases };

std::string name_of_zero(Zero zero) {
  return zero == Zero::none ? "no zero points" : zero == Zero::points ? "zero points" : "biases";
}

// A quantized weight with parameters of its own for every group, and inputs.
struct Problem {
  int64_t m, n, k, group;
  tersor_dtype dtype;
  Zero zero;
  bool shared, has_bias = true, relu = false;
  std::vector<float> x, scales, biases, bias;
  std::vector<int32_t> zero_points;
  std::vector<uint8_t> codes;  // as stored

  Problem(int64_t m_, int64_t n_, int64_t k_, int64_t group_, tersor_dtype dtype_, Zero zero_, bool shared_ = false)
      : m(m_), n(n_), k(k_), group(group_), dtype(dtype_), zero(zero_), shared(shared_) {
    const int64_t parameters = (shared ? 1 : n) * groups();
    x = Random(1).uniforms<float>(m * k, -2, 2);
    scales = Random(2).uniforms<float>(parameters, 0.01, 0.2);
    biases = Random(3).uniforms<float>(parameters, -1, 1);
    zero_points = Random(4).integers<int32_t>(parameters, low(), low() + (1 << bits_of(dtype)) - 1);
    codes = Random(5).integers<uint8_t>(n * row_bytes(dtype, k), 0, 255);
    bias = Random(6).uniforms<float>(n, -1, 1);
  }

  int64_t groups() const { return (k + group - 1) / group; }
  int32_t low() const { return dtype == TERSOR_I8 ? -128 : 0; }

  tersor_affine affine(const F32& scale, const I32& zeros, const F32& offsets) const {
    return {.scales = scale,
            .zero_points = zero == Zero::points ? static_cast<const tersor_tensor*>(zeros) : nullptr,
            .biases = zero == Zero::biases ? static_cast<const tersor_tensor*>(offsets) : nullptr,
            .code_min = low(),
            .code_max = low() + (1 << bits_of(dtype)) - 1,
            .group_size = group};
  }

  template <typename Body>
  auto with_affine(Body&& body) const {
    const Shape shape = {shared ? 1 : n, groups()};
    const F32 scale(shape, scales), offsets(shape, biases);
    const I32 zeros(shape, zero_points);
    const tersor_affine parameters = affine(scale, zeros, offsets);
    return body(&parameters);
  }

  // The codes read bit by bit, not as the library does.
  int32_t code(int64_t row, int64_t column) const {
    const int bits = bits_of(dtype);
    int32_t value = 0;
    for (int b = 0; b < bits; ++b) {
      const int64_t bit = column * bits + b;
      value |= (codes[static_cast<size_t>(row * row_bytes(dtype, k) + bit / 8)] >> (bit % 8) & 1) << b;
    }
    return dtype == TERSOR_I8 && value > 127 ? value - 256 : value;
  }

  double weight(int64_t row, int64_t column) const {
    const auto at = static_cast<size_t>((shared ? 0 : row * groups()) + column / group);
    const double zero_point = zero == Zero::points ? zero_points[at] : 0;
    return double{scales[at]} * (code(row, column) - zero_point) + (zero == Zero::biases ? double{biases[at]} : 0.0);
  }

  std::vector<uint8_t> packed() const {
    return with_affine([&](const tersor_affine* parameters) {
      const Typed<uint8_t> source({n, k}, codes, dtype);
      const Typed<uint8_t> target({cpu::quantized_bytes(n, k, bits_of(dtype), group, zero == Zero::biases)});
      Context context;
      CHECK(cpu::pack_quantized(&context, source, parameters, target) == TERSOR_OK);
      return target.values();
    });
  }

  std::vector<float> run(QuantizedKernel* kernel) const {
    const std::vector<uint8_t> bytes = packed();
    const Typed<uint8_t> data({static_cast<int64_t>(bytes.size())}, bytes);
    const tersor_quantized w = {
        *static_cast<const tersor_tensor*>(data), n, k, bits_of(dtype), group, zero == Zero::biases};
    const F32 input({m, k}, x), y({m, n}), offset({n}, bias);
    Context context;
    const tersor_epilogue epilogue = {has_bias ? static_cast<const tersor_tensor*>(offset) : nullptr,
                                      relu ? TERSOR_RELU : TERSOR_IDENTITY, nullptr};
    CHECK(gemm_quantized_with(kernel, &context, input, &w, &epilogue, y) == TERSOR_OK);
    return y.values();
  }

  // In float64, with what roundings may add up to: one of every weight and product, of every sum, and of x against the
  // largest magnitude of its block; where codes count from a bias, the parts of the weight are larger than it.
  void check(const std::string& what, QuantizedKernel* kernel) const {
    std::vector<double> expected, tolerance;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = has_bias ? double{bias[static_cast<size_t>(j)]} : 0.0, size = std::abs(sum), blocks = 0;
        for (int64_t p = 0; p < k; ++p) {
          const double input = x[static_cast<size_t>(i * k + p)], w = weight(j, p);
          double part = std::abs(w);
          if (zero == Zero::biases) {
            const auto at = static_cast<size_t>((shared ? 0 : j * groups()) + p / group);
            part += 2 * std::abs(double{biases[at]}) + double{scales[at]} * (1 << bits_of(dtype));
          }
          sum += input * w;
          size += std::abs(input) * part;
          blocks += largest_of_block(i, p) * part;
        }
        expected.push_back(relu ? std::max(sum, 0.0) : sum);
        // Below the normal numbers, roundings have a size of their own.
        tolerance.push_back(kEpsilon * (static_cast<double>(k + 4) * size + 4 * blocks) +
                            static_cast<double>(k + 4) * 0x1p-149);
      }
    }
    check_close(what + description(), run(kernel), expected, tolerance);
  }

  double largest_of_block(int64_t row, int64_t column) const {
    const int64_t start = column / group * group, first = start + (column - start) / 256 * 256;
    const int64_t end = std::min({k, start + group, first + 256});
    double largest = 0;
    for (int64_t p = first; p < end; ++p) {
      largest = std::max(largest, std::abs(double{x[static_cast<size_t>(row * k + p)]}));
    }
    return largest;
  }

  std::string description() const {
    return " " + std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k) + ", " +
           tersor::name_of(dtype) + " in groups of " + std::to_string(group) + ", " + name_of_zero(zero);
  }
};

void check_every_kernel(const Problem& problem) {
  for_each_kernel(gemm_quantized_kernels,
                  [&](const std::string& isa, QuantizedKernel* kernel) { problem.check(isa, kernel); });
}

const tersor_dtype kCodeTypes[] = {TERSOR_U1, TERSOR_U2, TERSOR_U3, TERSOR_U4, TERSOR_U8, TERSOR_I8};
const Zero kZeros[] = {Zero::none, Zero::points, Zero::biases};

TEST_CASE("gemm_quantized against float64: every type of code, tail of rows, columns and groups, on every ISA") {
  int mix = 0;
  for (const tersor_dtype dtype : kCodeTypes) {
    for (const Zero zero : kZeros) {
      for (const int64_t m : {1, 2, 3, 4, 7, 9, 13}) {
        for (const int64_t n : {1, 16, 31, 32, 33, 70}) {
          const int64_t depths[] = {1, 4, 5, 31, 32, 64, 100, 130}, groups[] = {32, 128, 5, 1000};
          Problem problem(m, n, depths[mix % 8], groups[mix / 3 % 4], dtype, zero, mix % 7 == 0);
          problem.has_bias = mix % 3 != 0;
          problem.relu = mix % 5 < 2;
          check_every_kernel(problem);
          ++mix;
        }
      }
    }
  }
}

TEST_CASE("gemm_quantized of long groups, more rows than a pass takes, and the MLP's shapes") {
  for (const Zero zero : kZeros) {
    check_every_kernel(Problem(3, 40, 784, 784, TERSOR_U8, zero));
    check_every_kernel(Problem(2, 33, 1100, 512, TERSOR_I8, zero));
    check_every_kernel(Problem(131, 33, 96, 64, TERSOR_U4, zero));
    check_every_kernel(Problem(32, 128, 784, 128, TERSOR_U4, zero));
    check_every_kernel(Problem(5, 64, 2050, 2050, TERSOR_U2, zero));
  }
}

TEST_CASE("gemm_quantized does not overflow at the largest sums of a block") {
  for (const tersor_dtype dtype : {TERSOR_U8, TERSOR_I8}) {
    for (const int extreme : {0, 255}) {
      for (const float value : {2.0f, -2.0f, 1.9999998f}) {
        Problem problem(5, 33, 512, 512, dtype, Zero::points);
        std::fill(problem.x.begin(), problem.x.end(), value);
        std::fill(problem.codes.begin(), problem.codes.end(), static_cast<uint8_t>(extreme));
        const bool high = problem.code(0, 0) > problem.low();
        std::fill(problem.zero_points.begin(), problem.zero_points.end(), problem.low() + (high ? 0 : 255));
        check_every_kernel(problem);
      }
    }
  }
  // Digits at their own extremes: 24-bit numbers of all signs, powers of two and their neighbours.
  Problem mixed(4, 32, 256, 256, TERSOR_U8, Zero::points);
  for (size_t i = 0; i < mixed.x.size(); ++i) {
    const float whole[] = {8355600, 8355599, 32768, 32767, 32896, 128, 127, 129, 8388, 1};
    mixed.x[i] = whole[i % 10] * (i % 3 == 0 ? -1.0f : 1.0f);
  }
  check_every_kernel(mixed);
}

TEST_CASE("gemm_quantized errs by at most 3e-7 of the result's norm in digits") {
  Problem problem(16, 64, 1024, 128, TERSOR_U4, Zero::points);
  problem.has_bias = false;
  for_each_kernel(gemm_quantized_kernels, [&](const std::string& isa, QuantizedKernel* kernel) {
    const std::vector<float> y = problem.run(kernel);
    double error = 0, norm = 0;
    for (int64_t i = 0; i < problem.m; ++i) {
      for (int64_t j = 0; j < problem.n; ++j) {
        double sum = 0;
        for (int64_t p = 0; p < problem.k; ++p) {
          sum += double{problem.x[static_cast<size_t>(i * problem.k + p)]} * problem.weight(j, p);
        }
        const double difference = double{y[static_cast<size_t>(i * problem.n + j)]} - sum;
        error += difference * difference;
        norm += sum * sum;
      }
    }
    CAPTURE(isa);
    // Sums in f32 of 1,024 products err by more than sums of exact blocks do.
    CHECK(std::sqrt(error / norm) <= (isa == "avx512_vnni" ? 3e-7 : 2e-6));
  });
}

TEST_CASE("gemm_quantized of inputs beyond what digits can scale: tiny, huge, zero, and outliers") {
  for (const float size : {0.0f, 1e-45f, 1e-38f, 1e-30f, 1e30f, 1e36f}) {
    Problem problem(6, 35, 70, 32, TERSOR_U4, Zero::points);
    problem.has_bias = false;
    for (size_t i = 0; i < problem.x.size(); ++i) {
      if (i / 70 % 2 == 0) problem.x[i] *= size;
    }
    check_every_kernel(problem);
  }
  Problem outlier(4, 35, 256, 64, TERSOR_U4, Zero::points);
  for (size_t i = 0; i < outlier.x.size(); i += 64) outlier.x[i] *= 1e4f;
  check_every_kernel(outlier);
}

TEST_CASE("gemm_quantized keeps NaN and infinity in the rows of x that hold them") {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const Zero zero : kZeros) {
    for (const float bad : {nan, infinity, -infinity}) {
      for (const int64_t place : {0, 63, 64, 99}) {
        Problem problem(7, 35, 100, 64, TERSOR_U4, zero);
        problem.x[static_cast<size_t>(3 * 100 + place)] = bad;
        problem.x[static_cast<size_t>(4 * 100 + place)] = bad;
        check_every_kernel(problem);
      }
    }
  }
}

TEST_CASE("gemm_quantized gives the same bits for any thread count") {
  const Problem wide(1, 1000, 1100, 128, TERSOR_U4, Zero::points), tall(150, 200, 300, 64, TERSOR_U3, Zero::none);
  for_each_kernel(gemm_quantized_kernels, [&](const std::string& isa, QuantizedKernel* kernel) {
    same_for_any_thread_count(isa + " wide", [&] { return wide.run(kernel); });
    same_for_any_thread_count(isa + " tall", [&] { return tall.run(kernel); });
  });
  same_for_any_thread_count("packing", [&] { return wide.packed(); });
}

TEST_CASE("gemm_quantized with an empty dimension") {
  check_every_kernel(Problem(0, 5, 64, 32, TERSOR_U4, Zero::points));
  check_every_kernel(Problem(3, 0, 64, 32, TERSOR_U4, Zero::points));
  check_every_kernel(Problem(3, 5, 0, 32, TERSOR_U4, Zero::points));
}

TEST_CASE("gemm_quantized stops when it is told to") {
  const Problem problem(2, 40, 64, 32, TERSOR_U4, Zero::none);
  const std::vector<uint8_t> bytes = problem.packed();
  const Typed<uint8_t> data({static_cast<int64_t>(bytes.size())}, bytes);
  const tersor_quantized w = {*static_cast<const tersor_tensor*>(data), 40, 64, 4, 32, 0};
  const F32 x({2, 64}, problem.x), y({2, 40});
  Context context;
  context.flag = 1;
  for_each_kernel(gemm_quantized_kernels, [&](const std::string&, QuantizedKernel* kernel) {
    CHECK(gemm_quantized_with(kernel, &context, x, &w, nullptr, y) == TERSOR_CANCELLED);
  });
}

TEST_CASE("pack_quantized refuses parameters that are no scales or zero points of the codes") {
  const auto status_of = [](Problem& problem, std::string* message) {
    return problem.with_affine([&](const tersor_affine* parameters) {
      const Typed<uint8_t> codes({problem.n, problem.k}, problem.codes, problem.dtype);
      const Typed<uint8_t> packed({cpu::quantized_bytes(problem.n, problem.k, 4, problem.group, false)});
      Context context;
      const tersor_status status = cpu::pack_quantized(&context, codes, parameters, packed);
      *message = context.message;
      return status;
    });
  };
  std::string message;
  for (const int32_t zero_point : {-1, 16}) {
    Problem problem(1, 40, 64, 32, TERSOR_U4, Zero::points);
    problem.zero_points[67] = zero_point;
    CHECK(status_of(problem, &message) == TERSOR_OUT_OF_RANGE);
    CHECK(message == "expected zero points that are codes of u4, got another, at w[33, 32]");
  }
  for (const float scale : {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN()}) {
    Problem problem(1, 40, 64, 32, TERSOR_U4, Zero::none);
    problem.scales[3] = scale;
    CHECK(status_of(problem, &message) == TERSOR_INVALID_ARGUMENT);
    CHECK(message.find("at scales[1, 1]") != std::string::npos);
  }
}

}  // namespace
}  // namespace tersor::test
