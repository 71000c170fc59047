#include <cmath>
#include <limits>
#include <string>

#include "cpu/operations.h"
#include "cpu/quantized/gemm_quantized.h"
#include "typed.h"

namespace tersor::test {
namespace {

using cpu::gemm_quantized_kernels;
using cpu::gemm_quantized_with;
using cpu::QuantizedKernel;

const float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
const tersor_dtype kCodeTypes[] = {TERSOR_U2, TERSOR_U3, TERSOR_U4};

// Codes of a codebook with a scale for every group, and inputs.
struct Problem {
  int64_t m, n, k, group;
  tersor_dtype dtype;
  bool shared;
  tersor_input_precision precision = TERSOR_INPUT_F32;
  std::vector<float> x, scales, values, bias;
  std::vector<uint8_t> codes;  // as stored

  Problem(int64_t m_, int64_t n_, int64_t k_, int64_t group_, tersor_dtype dtype_, bool shared_ = false)
      : m(m_), n(n_), k(k_), group(group_), dtype(dtype_), shared(shared_) {
    x = Random(1).uniforms<float>(m * k, -2, 2);
    scales = Random(2).uniforms<float>((shared ? 1 : n) * groups(), 0.01, 0.2);
    values = Random(3).uniforms<float>(1 << bits_of(dtype), -1, 1);
    std::sort(values.begin(), values.end());
    codes = Random(4).integers<uint8_t>(n * row_bytes(dtype, k), 0, 255);
    bias = Random(5).uniforms<float>(n, -1, 1);
  }

  int64_t groups() const { return (k + group - 1) / group; }

  template <typename Body>
  auto with_codebook(Body&& body) const {
    const F32 scale({shared ? 1 : n, groups()}, scales), value({static_cast<int64_t>(values.size())}, values);
    const tersor_codebook codebook = {value, scale, group};
    return body(&codebook);
  }

  // Read bit by bit, not as the library does.
  int code(int64_t row, int64_t column) const {
    int code = 0;
    for (int b = 0; b < bits_of(dtype); ++b) {
      const int64_t bit = column * bits_of(dtype) + b;
      code |= (codes[static_cast<size_t>(row * row_bytes(dtype, k) + bit / 8)] >> (bit % 8) & 1) << b;
    }
    return code;
  }

  float value(int64_t row, int64_t column) const { return values[static_cast<size_t>(code(row, column))]; }
  float scale(int64_t row, int64_t column) const {
    return scales[static_cast<size_t>((shared ? 0 : row * groups()) + column / group)];
  }

  std::vector<uint8_t> packed() const {
    return with_codebook([&](const tersor_codebook* codebook) {
      const Typed<uint8_t> source({n, k}, codes, dtype);
      const Typed<uint8_t> target({cpu::quantized_bytes(n, k, bits_of(dtype), group, 0)});
      Context context;
      CHECK(cpu::pack_codebook(&context, source, codebook, target) == TERSOR_OK);
      return target.values();
    });
  }

  std::vector<float> run(QuantizedKernel* kernel) const {
    const std::vector<uint8_t> bytes = packed();
    const Typed<uint8_t> data({static_cast<int64_t>(bytes.size())}, bytes);
    const tersor_quantized w = {*static_cast<const tersor_tensor*>(data), n, k, bits_of(dtype), group, 0};
    const F32 input({m, k}, x), y({m, n}), offset({n}, bias);
    const tersor_epilogue epilogue = {offset, TERSOR_IDENTITY, nullptr};
    Context context;
    CHECK(gemm_quantized_with(kernel, &context, input, precision, &w, &epilogue, y) == TERSOR_OK);
    return y.values();
  }

  // Columns of x that are rounded by one scale: [first, last).
  std::pair<int64_t, int64_t> span_of(int64_t column) const {
    if (group < 128) {
      const int64_t together = 256 / ((group + 15) / 16 * 16) * group, first = column / together * together;
      return {first, std::min(k, first + together)};
    }
    const int64_t start = column / group * group, first = start + (column - start) / 256 * 256;
    return {first, std::min({k, start + group, first + 256})};
  }

  // x as its int8 stands for it.
  double rounded_input(int64_t row, int64_t column) const {
    const auto [first, last] = span_of(column);
    float largest = 0;
    for (int64_t p = first; p < last; ++p) largest = std::max(largest, std::abs(x[static_cast<size_t>(row * k + p)]));
    if (largest == 0) return 0;
    const float steps = std::nearbyint(x[static_cast<size_t>(row * k + column)] * (127.0f / largest));
    return double{steps} * double{largest} / 127.0;
  }

  // The value as its int8 stands for it.
  double rounded_value(int64_t row, int64_t column) const {
    float largest = 0;
    for (const float each : values) largest = std::max(largest, std::abs(each));
    const float unit = largest / 127;
    return double{std::nearbyint(value(row, column) / unit)} * double{unit};
  }

  struct Expected {
    std::vector<double> sums, tolerance;
  };

  // In float64; with int8 numbers where the kernel has them, which leaves the roundings of scales and sums.
  Expected expected(bool int8) const {
    Expected result;
    std::vector<double> inputs, weights;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t p = 0; p < k; ++p) {
        inputs.push_back(int8 ? rounded_input(i, p) : double{x[static_cast<size_t>(i * k + p)]});
      }
    }
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t p = 0; p < k; ++p) {
        weights.push_back((int8 ? rounded_value(j, p) : double{value(j, p)}) * double{scale(j, p)});
      }
    }
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = bias[static_cast<size_t>(j)], size = std::abs(sum);
        for (int64_t p = 0; p < k; ++p) {
          const double product = inputs[static_cast<size_t>(i * k + p)] * weights[static_cast<size_t>(j * k + p)];
          sum += product;
          size += std::abs(product);
        }
        result.sums.push_back(sum);
        // Of exact sums: a rounding of each scale and their products, and one for every block of at least 16 columns.
        const double roundings = int8 ? 8 + static_cast<double>(k) / 16 : static_cast<double>(k + 4);
        result.tolerance.push_back(kEpsilon * roundings * size + 1e-30);
      }
    }
    return result;
  }

  std::string description() const {
    return " " + std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k) + ", codebook of " +
           tersor::name_of(dtype) + " in groups of " + std::to_string(group) + ", precision " +
           std::to_string(precision);
  }
};

bool has_int8_unit(const std::string& isa) {
  return isa.ends_with("_vnni") || isa == "neon_dotprod" || isa == "neon_i8mm";
}

void check_every_kernel(const Problem& problem) {
  for_each_kernel(gemm_quantized_kernels, [&](const std::string& isa, QuantizedKernel* kernel) {
    const auto [sums, tolerance] = problem.expected(has_int8_unit(isa) && problem.precision == TERSOR_INPUT_INT8);
    check_close(isa + problem.description(), problem.run(kernel), sums, tolerance);
  });
}

TEST_CASE("products with codebook weights against float64 and exact int8, every tail and ISA") {
  int mix = 0;
  for (const tersor_dtype dtype : kCodeTypes) {
    for (const int64_t m : {1, 2, 3, 4, 7, 9, 13}) {
      for (const int64_t n : {1, 16, 31, 32, 33, 70}) {
        const int64_t depths[] = {1, 4, 5, 31, 32, 64, 100, 130, 530}, groups[] = {32, 128, 5, 1000, 64};
        for (const tersor_input_precision precision : {TERSOR_INPUT_F32, TERSOR_INPUT_INT16, TERSOR_INPUT_INT8}) {
          Problem problem(m, n, depths[mix % 9], groups[mix / 3 % 5], dtype, mix % 7 == 0);
          problem.precision = precision;
          check_every_kernel(problem);
          ++mix;
        }
      }
    }
  }
  for (const tersor_input_precision precision : {TERSOR_INPUT_F32, TERSOR_INPUT_INT8}) {
    for (Problem problem :
         {Problem(131, 33, 96, 64, TERSOR_U4), Problem(5, 64, 2050, 2050, TERSOR_U2), Problem(0, 5, 64, 32, TERSOR_U4),
          Problem(3, 0, 64, 32, TERSOR_U4), Problem(3, 5, 0, 32, TERSOR_U4)}) {
      problem.precision = precision;
      check_every_kernel(problem);
    }
  }
}

TEST_CASE("products with codebook weights do not overflow at the largest sums of a block") {
  for (const float sign : {1.0f, -1.0f}) {
    for (const uint8_t codes : {uint8_t{0}, uint8_t{255}}) {
      for (const int64_t m : {2, 9}) {
        Problem problem(m, 33, 512, 512, TERSOR_U4);
        problem.precision = TERSOR_INPUT_INT8;
        problem.values.front() = -1;
        problem.values.back() = 1;
        std::fill(problem.x.begin(), problem.x.end(), sign);
        std::fill(problem.codes.begin(), problem.codes.end(), codes);
        check_every_kernel(problem);
      }
    }
  }
}

TEST_CASE("products with codebook weights give the same bits for any width of the int8 unit and any thread count") {
  for (const int64_t m : {1, 4, 5, 150}) {
    for (const tersor_dtype dtype : kCodeTypes) {
      Problem problem(m, 70, 300, m == 4 ? 32 : 128, dtype);
      problem.precision = TERSOR_INPUT_INT8;
      std::vector<float> first;
      for_each_kernel(gemm_quantized_kernels, [&](const std::string& isa, QuantizedKernel* kernel) {
        const std::vector<float> y = same_for_any_thread_count(isa, [&] { return problem.run(kernel); });
        if (!has_int8_unit(isa)) return;
        if (first.empty()) first = y;
        check_same_bits(isa + problem.description(), y, first);
      });
    }
  }
}

TEST_CASE("products with codebook weights keep NaN and infinity in the rows of x that hold them") {
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    Problem problem(7, 35, 100, 64, TERSOR_U4);
    problem.precision = TERSOR_INPUT_INT8;
    problem.x[3 * 100 + 63] = bad;
    for_each_kernel(gemm_quantized_kernels, [&](const std::string& isa, QuantizedKernel* kernel) {
      Problem clean = problem;
      clean.x[3 * 100 + 63] = 0;
      const std::vector<float> y = problem.run(kernel), without = clean.run(kernel);
      for (size_t i = 0; i < y.size(); ++i) {
        CAPTURE(isa);
        CAPTURE(i);
        if (i / 35 == 3) {
          CHECK(!std::isfinite(y[i]));
        } else {
          CHECK(y[i] == without[i]);
        }
      }
    });
  }
}

TEST_CASE("products with codebooks of zeros, and of numbers too small or large for int8") {
  for (const float size : {0.0f, 1e-30f, 1e20f}) {
    for (const int64_t m : {1, 9}) {
      Problem problem(m, 35, 100, 32, TERSOR_U4);
      problem.precision = TERSOR_INPUT_INT8;
      for (float& value : problem.values) value *= size;
      const auto [sums, tolerance] = problem.expected(false);
      for_each_kernel(gemm_quantized_kernels, [&](const std::string& isa, QuantizedKernel* kernel) {
        check_close(isa + problem.description(), problem.run(kernel), sums, tolerance);
      });
    }
  }
}

TEST_CASE("codebook_encode takes the nearest value, and the lower of two equally near; codebook_decode gives it back") {
  for (const tersor_dtype dtype : kCodeTypes) {
    for (const int64_t columns : {1, 7, 64, 513, 1030}) {
      for (const bool shared : {false, true}) {
        Problem problem(0, 5, columns, 48, dtype, shared);
        std::vector<float> w = uniform(5 * columns, 7, -0.3, 0.3);
        // Halfway between two values, in a power of two so that no rounding decides.
        std::fill(problem.scales.begin(), problem.scales.end(), 0.25f);
        problem.values[0] = -1;
        problem.values[1] = -0.75;
        for (size_t i = 2; i < problem.values.size(); ++i) problem.values[i] = static_cast<float>(i) * 0.125f;
        w[0] = -0.875f * 0.25f;
        std::vector<float> nearest(w.size());
        for (size_t i = 0; i < w.size(); ++i) {
          double best = HUGE_VAL;
          for (const float value : problem.values) {
            if (std::abs(double{w[i]} - 0.25 * value) >= best) continue;
            best = std::abs(double{w[i]} - 0.25 * value);
            nearest[i] = 0.25f * value;
          }
        }
        CHECK(nearest[0] == -0.25f);
        problem.with_codebook([&](const tersor_codebook* codebook) {
          const F32 x({5, columns}, w), y({5, columns}), some({3, columns});
          const Typed<uint8_t> codes({5, columns}, dtype);
          const I32 ids({3}, {4, 0, 4});
          Context context;
          CHECK(cpu::codebook_encode(&context, x, codebook, codes) == TERSOR_OK);
          CHECK(cpu::codebook_decode(&context, codes, codebook, nullptr, y) == TERSOR_OK);
          check_same_bits("decoded", y.values(), nearest);
          CHECK(cpu::codebook_decode(&context, codes, codebook, ids, some) == TERSOR_OK);
          std::vector<float> rows;
          for (const int64_t id : {4, 0, 4}) {
            rows.insert(rows.end(), nearest.begin() + id * columns, nearest.begin() + (id + 1) * columns);
          }
          check_same_bits("gathered", some.values(), rows);
        });
      }
    }
  }
}

TEST_CASE("codebooks refuse values that are none, bad scales, ids and numbers") {
  const auto message_of = [](Problem problem, auto&& call) {
    return problem.with_codebook([&](const tersor_codebook* codebook) {
      const F32 x({problem.n, problem.k}, uniform(problem.n * problem.k, 9));
      const Typed<uint8_t> codes({problem.n, problem.k}, problem.codes, problem.dtype);
      Context context;
      CHECK(call(&context, x, codes, codebook) != TERSOR_OK);
      return std::string(context.message);
    });
  };
  const auto encode = [](Context* context, const F32& x, const Typed<uint8_t>& codes, const tersor_codebook* codebook) {
    return cpu::codebook_encode(context, x, codebook, codes);
  };
  const auto pack = [](Context* context, const F32&, const Typed<uint8_t>& codes, const tersor_codebook* codebook) {
    const Typed<uint8_t> packed({cpu::quantized_bytes(3, 40, 4, 32, 0)});
    return cpu::pack_codebook(context, codes, codebook, packed);
  };
  const Problem good(0, 3, 40, 32, TERSOR_U4);
  for (const float bad : {kNan, kInfinity, -2.0f}) {
    Problem problem = good;
    problem.values[5] = bad;
    CHECK(message_of(problem, encode).find("at values[5]") != std::string::npos);
    CHECK(message_of(problem, pack).find("expected finite values that ascend") != std::string::npos);
  }
  for (const float bad : {0.0f, -1.0f, kNan}) {
    Problem problem = good;
    problem.scales[3] = bad;
    CHECK(message_of(problem, encode).find("at scales[1, 1]") != std::string::npos);
    CHECK(message_of(problem, pack).find("at scales[1, 1]") != std::string::npos);
  }
  CHECK(message_of(good, [](Context* context, const F32& x, const Typed<uint8_t>& codes, const tersor_codebook* book) {
          x[41] = kNan;
          return cpu::codebook_encode(context, x, book, codes);
        }) == "expected finite values, got nan, at x[1, 1]");
  CHECK(message_of(good, [](Context* context, const F32&, const Typed<uint8_t>& codes, const tersor_codebook* book) {
          const I32 ids({2}, {0, 3});
          const F32 y({2, 40});
          return cpu::codebook_decode(context, codes, book, ids, y);
        }) == "expected 0 <= id < 3, got 3, at ids[1]");
}

}  // namespace
}  // namespace tersor::test
