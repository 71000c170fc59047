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

const tersor_input_precision kPrecisions[] = {TERSOR_INPUT_F32, TERSOR_INPUT_INT16, TERSOR_INPUT_INT8};

// Half a step of x, as a share of the largest magnitude of its span. In f32, with what the scales' roundings add.
double rounding_of(tersor_input_precision precision) {
  const double half_steps[] = {4 * kEpsilon, 0.5001 / 32639, 0.5001 / 127};
  return half_steps[precision];
}

// A quantized weight with parameters of its own for every group, and inputs.
struct Problem {
  int64_t m, n, k, group;
  tersor_dtype dtype;
  Zero zero;
  bool shared, has_bias = true, has_residual = false, relu = false;
  tersor_input_precision precision = TERSOR_INPUT_F32;
  std::vector<float> x, scales, biases, bias, residual;
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
    residual = Random(7).uniforms<float>(m * n, -1, 1);
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
    const F32 input({m, k}, x), y({m, n}), offset({n}, bias), added({m, n}, residual);
    Context context;
    const tersor_epilogue epilogue = {has_bias ? static_cast<const tersor_tensor*>(offset) : nullptr,
                                      relu ? TERSOR_RELU : TERSOR_IDENTITY,
                                      has_residual ? static_cast<const tersor_tensor*>(added) : nullptr};
    CHECK(gemm_quantized_with(kernel, &context, input, precision, &w, &epilogue, y) == TERSOR_OK);
    return y.values();
  }

  struct Expected {
    std::vector<double> values, tolerance;
  };

  // In float64, with what roundings may add up to: one of every weight and product, of every sum, and of x against the
  // largest magnitude of its span; where codes count from a bias, the parts of the weight are larger than it.
  Expected expected() const {
    std::vector<double> weights, parts, largest;
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t p = 0; p < k; ++p) {
        weights.push_back(weight(j, p));
        parts.push_back(std::abs(weights.back()));
        if (zero != Zero::biases) continue;
        const auto at = static_cast<size_t>((shared ? 0 : j * groups()) + p / group);
        parts.back() += 2 * std::abs(double{biases[at]}) + double{scales[at]} * (1 << bits_of(dtype));
      }
    }
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t p = 0; p < k; ++p) largest.push_back(largest_of_span(i, p));
    }
    Expected result;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = has_bias ? double{bias[static_cast<size_t>(j)]} : 0.0, size = std::abs(sum), spans = 0;
        for (int64_t p = 0; p < k; ++p) {
          const auto at = static_cast<size_t>(j * k + p);
          const double input = x[static_cast<size_t>(i * k + p)];
          sum += input * weights[at];
          size += std::abs(input) * parts[at];
          spans += largest[static_cast<size_t>(i * k + p)] * parts[at];
        }
        const double added = has_residual ? double{residual[static_cast<size_t>(i * n + j)]} : 0.0;
        result.values.push_back((relu ? std::max(sum, 0.0) : sum) + added);
        // Below the normal numbers, roundings have a size of their own.
        result.tolerance.push_back(kEpsilon * (static_cast<double>(k + 4) * size + 2 * std::abs(added)) +
                                   rounding_of(precision) * spans + static_cast<double>(k + 4) * 0x1p-149);
      }
    }
    return result;
  }

  double largest_of_span(int64_t row, int64_t column) const {
    int64_t start = column / group * group, first = start + (column - start) / 256 * 256;
    int64_t end = std::min({k, start + group, first + 256});
    if (group < 128) {
      const int64_t together = 256 / ((group + 15) / 16 * 16) * group;
      first = column / together * together;
      end = std::min(k, first + together);
    }
    double largest = 0;
    for (int64_t p = first; p < end; ++p) {
      largest = std::max(largest, std::abs(double{x[static_cast<size_t>(row * k + p)]}));
    }
    return largest;
  }

  std::string description() const {
    return " " + std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k) + ", " +
           tersor::name_of(dtype) + " in groups of " + std::to_string(group) + ", " + name_of_zero(zero) +
           ", precision " + std::to_string(precision);
  }
};

void check_every_kernel(const Problem& problem) {
  const auto [values, tolerance] = problem.expected();
  for_each_kernel(gemm_quantized_kernels, [&](const std::string& isa, QuantizedKernel* kernel) {
    check_close(isa + problem.description(), problem.run(kernel), values, tolerance);
  });
}

const tersor_dtype kCodeTypes[] = {TERSOR_U1, TERSOR_U2, TERSOR_U3, TERSOR_U4, TERSOR_U8, TERSOR_I8};
const Zero kZeros[] = {Zero::none, Zero::points, Zero::biases};

TEST_CASE("gemm_quantized against float64: every type of code, tail of rows, columns and groups, on every ISA") {
  int mix = 0;
  for (const tersor_dtype dtype : kCodeTypes) {
    for (const Zero zero : kZeros) {
      for (const int64_t m : {1, 2, 3, 4, 7, 9, 13}) {
        for (const int64_t n : {1, 16, 31, 32, 33, 70}) {
          const int64_t depths[] = {1, 4, 5, 31, 32, 64, 100, 130, 530}, groups[] = {32, 128, 5, 1000, 64};
          Problem problem(m, n, depths[mix % 9], groups[mix / 3 % 5], dtype, zero, mix % 7 == 0);
          problem.has_bias = mix % 3 != 0;
          problem.has_residual = mix % 4 == 1;
          problem.relu = mix % 5 < 2;
          problem.precision = kPrecisions[mix / 2 % 3];
          check_every_kernel(problem);
          ++mix;
        }
      }
    }
  }
}

TEST_CASE("gemm_quantized of long groups, more rows than a pass takes, and the MLP's shapes") {
  for (const Zero zero : kZeros) {
    for (const tersor_input_precision precision : kPrecisions) {
      for (Problem problem : {Problem(3, 40, 784, 784, TERSOR_U8, zero), Problem(2, 33, 1100, 512, TERSOR_I8, zero),
                              Problem(131, 33, 96, 64, TERSOR_U4, zero), Problem(32, 128, 784, 128, TERSOR_U4, zero),
                              Problem(5, 64, 2050, 2050, TERSOR_U2, zero), Problem(3, 37, 600, 24, TERSOR_U3, zero)}) {
        problem.precision = precision;
        check_every_kernel(problem);
      }
    }
  }
}

TEST_CASE("gemm_quantized does not overflow at the largest sums of a block") {
  for (const tersor_dtype dtype : {TERSOR_U4, TERSOR_U8, TERSOR_I8}) {
    for (const int64_t group : {128, 512}) {
      for (const bool high : {false, true}) {
        for (const float value : {2.0f, -2.0f, 1.9999998f}) {
          Problem problem(9, 33, 512, group, dtype, Zero::points);
          const int highest = (1 << bits_of(dtype)) - 1;
          std::fill(problem.x.begin(), problem.x.end(), value);
          const int code = dtype == TERSOR_I8 ? (high ? 127 : 128) : (high ? 255 : 0);
          std::fill(problem.codes.begin(), problem.codes.end(), static_cast<uint8_t>(code));
          std::fill(problem.zero_points.begin(), problem.zero_points.end(), problem.low() + (high ? 0 : highest));
          for (const tersor_input_precision precision : kPrecisions) {
            problem.precision = precision;
            check_every_kernel(problem);
          }
        }
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

// Root of the summed squares of the errors, as a share of the result's.
double relative_error(const Problem& problem, const std::vector<float>& y) {
  const std::vector<double> expected = problem.expected().values;
  double error = 0, norm = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    error += (y[i] - expected[i]) * (y[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return std::sqrt(error / norm);
}

bool splits_digits(const std::string& isa) {
  return isa.ends_with("_vnni") || isa == "neon_dotprod" || isa == "neon_i8mm";
}

TEST_CASE("gemm_quantized errs by no more of the result's norm than its precision says") {
  for (const int64_t group : {32, 128}) {
    Problem problem(16, 64, 1024, group, TERSOR_U4, Zero::points);
    problem.has_bias = false;
    for (const tersor_input_precision precision : kPrecisions) {
      problem.precision = precision;
      const double limits[] = {3e-7, 1e-4, 1e-2};
      for_each_kernel(gemm_quantized_kernels, [&](const std::string& isa, QuantizedKernel* kernel) {
        CAPTURE(isa);
        CAPTURE(group);
        const double error = relative_error(problem, problem.run(kernel));
        // Sums in f32 of 1,024 products err by more than sums of exact blocks do.
        CHECK(error <= (splits_digits(isa) ? limits[precision] : 2e-6));
        // Rounded no further than need be: a digit more would show.
        if (splits_digits(isa) && precision != TERSOR_INPUT_F32) CHECK(error > limits[precision] / 100);
      });
    }
  }
}

TEST_CASE("gemm_quantized with int8 inputs keeps an outlier's harm inside its span") {
  Problem problem(8, 64, 1024, 128, TERSOR_U4, Zero::points);
  problem.has_bias = false;
  problem.precision = TERSOR_INPUT_INT8;
  for (size_t i = 0; i < problem.x.size(); i += 1024) problem.x[i] = 300;
  check_every_kernel(problem);
}

TEST_CASE("gemm_quantized gives the same bits whatever the width of the int8 unit") {
  for (const int64_t m : {1, 4, 5, 19}) {
    for (const int64_t group : {32, 128}) {
      for (const tersor_dtype dtype : {TERSOR_U1, TERSOR_U2, TERSOR_U3, TERSOR_U4, TERSOR_U8}) {
        Problem problem(m, 70, 300, group, dtype, m == 4 ? Zero::none : Zero::points);
        for (const tersor_input_precision precision : kPrecisions) {
          problem.precision = precision;
          std::vector<float> first;
          for_each_kernel(gemm_quantized_kernels, [&](const std::string& isa, QuantizedKernel* kernel) {
            if (!splits_digits(isa)) return;
            const std::vector<float> y = problem.run(kernel);
            if (first.empty()) first = y;
            check_same_bits(isa + problem.description(), y, first);
          });
        }
      }
    }
  }
}

TEST_CASE("gemm_quantized of scales so small or large that sums would leave f32's normal numbers") {
  for (const float size : {1e-38f, 1e-30f, 1e30f}) {
    Problem problem(5, 35, 300, 32, TERSOR_U4, Zero::points);
    problem.has_bias = false;
    for (float& scale : problem.scales) scale *= size;
    for (const tersor_input_precision precision : kPrecisions) {
      problem.precision = precision;
      check_every_kernel(problem);
    }
  }
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
        for (const int64_t k : {100, 128}) {  // with padding, and without
          Problem problem(11, 35, k, 64, TERSOR_U4, zero);
          problem.has_residual = true;
          problem.precision = place == 63 ? TERSOR_INPUT_INT8 : TERSOR_INPUT_F32;
          problem.x[static_cast<size_t>(3 * k + place)] = bad;
          problem.x[static_cast<size_t>(4 * k + place)] = bad;
          check_every_kernel(problem);
        }
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
    CHECK(gemm_quantized_with(kernel, &context, x, TERSOR_INPUT_INT8, &w, nullptr, y) == TERSOR_CANCELLED);
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
