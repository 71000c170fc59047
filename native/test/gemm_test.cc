#include "cpu/gemm/gemm.h"

#include <algorithm>
#include <array>
#include <string>

#include "core/half.h"
#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

using cpu::gemm_kernels;
using cpu::GemmArguments;
using cpu::GemmKernel;

struct Case {
  int64_t m, n, k;
  bool transpose_a = false, transpose_b = false, has_bias = false, relu = false, accumulate = false;

  std::string name() const {
    return std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k) + " " + (transpose_a ? "T" : "N") +
           (transpose_b ? "T" : "N") + (has_bias ? " bias" : "") + (relu ? " relu" : "") +
           (accumulate ? " accumulate" : "");
  }
};

struct Operands {
  std::vector<float> a, b, bias, c;

  explicit Operands(const Case& s)
      : a(Random(1).uniforms<float>(s.m * s.k, -1, 1)),
        b(Random(2).uniforms<float>(s.k * s.n, -1, 1)),
        bias(Random(3).uniforms<float>(s.n, -1, 1)),
        c(Random(4).uniforms<float>(s.m * s.n, -1, 1)) {}
};

struct Reference {
  std::vector<double> value, tolerance;

  // Whatever the order of summation, |error| <= (k + 3) u (|a| |b| + |bias| + |c|) up to terms in u^2 (Higham 2002,
  // section 3.5).
  Reference(const Case& s, const Operands& x) {
    std::vector<double> sum(static_cast<size_t>(s.n)), size(static_cast<size_t>(s.n));
    for (int64_t i = 0; i < s.m; ++i) {
      for (int64_t j = 0; j < s.n; ++j) {
        const double bias = s.has_bias ? x.bias[static_cast<size_t>(j)] : 0.0;
        const double before = s.accumulate ? x.c[static_cast<size_t>(i * s.n + j)] : 0.0;
        sum[static_cast<size_t>(j)] = bias + before;
        size[static_cast<size_t>(j)] = std::abs(bias) + std::abs(before);
      }
      for (int64_t p = 0; p < s.k; ++p) {
        const double a = x.a[static_cast<size_t>(s.transpose_a ? p * s.m + i : i * s.k + p)];
        for (int64_t j = 0; j < s.n; ++j) {
          const double product = a * x.b[static_cast<size_t>(s.transpose_b ? j * s.k + p : p * s.n + j)];
          sum[static_cast<size_t>(j)] += product;
          size[static_cast<size_t>(j)] += std::abs(product);
        }
      }
      for (size_t j = 0; j < sum.size(); ++j) {
        value.push_back(s.relu ? std::max(sum[j], 0.0) : sum[j]);
        tolerance.push_back(1.01 * static_cast<double>(s.k + 3) * kEpsilon * size[j]);
      }
    }
  }
};

enum class Weight { as_it_is, packed, packed_bf16 };

std::vector<uint16_t> to_bf16(const std::vector<float>& values) {
  std::vector<uint16_t> halves;
  for (const float value : values) halves.push_back(f32_to_bf16(value));
  return halves;
}

std::vector<float> run(GemmKernel* kernel, const Case& s, const Operands& x, Weight weight = Weight::as_it_is) {
  const Tensor a(TERSOR_F32, {s.m, s.k}, x.a), b(TERSOR_F32, {s.k, s.n}, x.b);
  const Tensor bias(TERSOR_F32, {s.n}, x.bias), c(TERSOR_F32, {s.m, s.n}, x.c);
  const bool packed = weight != Weight::as_it_is, bf16 = weight == Weight::packed_bf16;
  const tersor_dtype dtype = bf16 ? TERSOR_BF16 : TERSOR_F32;
  const Tensor panels(dtype, {packed ? cpu::packed_elements(s.n, s.k, dtype) : 0});
  if (packed) {
    REQUIRE((s.transpose_b && !s.transpose_a && !s.accumulate));
    const Tensor numbers(TERSOR_F32, {s.n, s.k}, x.b), halves(TERSOR_BF16, {s.n, s.k}, to_bf16(x.b));
    Context context;
    REQUIRE(cpu::pack_gemm(&context, bf16 ? halves : numbers, panels) == TERSOR_OK);
  }
  const GemmArguments arguments = {
      .m = s.m,
      .n = s.n,
      .k = s.k,
      .a = {a.data<float>(), s.transpose_a ? 1 : s.k, s.transpose_a ? s.m : 1},
      .b = {b.data<float>(), s.transpose_b ? 1 : s.n, s.transpose_b ? s.k : 1},
      .panels = packed ? panels.data<float>() : nullptr,
      .bf16_panels = bf16,
      .c = c.data<float>(),
      .epilogue = {s.has_bias ? bias.data<float>() : nullptr, nullptr, s.relu ? TERSOR_RELU : TERSOR_IDENTITY, s.n},
      .accumulate = s.accumulate,
      .cancel = nullptr,
  };
  CHECK(kernel(arguments) == TERSOR_OK);
  return c.values<float>();
}

// A weight of bf16 gives what the same numbers in f32 give, to the bit.
void check_bf16(const std::string& what, GemmKernel* kernel, const Case& s, Operands operands) {
  for (float& value : operands.b) value = bf16_to_f32(f32_to_bf16(value));
  check_same_bits(what, run(kernel, s, operands, Weight::packed_bf16), run(kernel, s, operands, Weight::packed));
}

void check_every_kernel(const Case& s) {
  const Operands operands(s);
  const Reference reference(s, operands);
  for_each_kernel(gemm_kernels, [&](const std::string& isa, GemmKernel* kernel) {
    check_close(isa + " " + s.name(), run(kernel, s, operands), reference.value, reference.tolerance);
    if (!s.transpose_b || s.transpose_a || s.accumulate) return;
    check_close(isa + " packed " + s.name(), run(kernel, s, operands, Weight::packed), reference.value,
                reference.tolerance);
    check_bf16(isa + " bf16 " + s.name(), kernel, s, operands);
  });
}

// Every mix of flags turns up, each with every layout.
Case with_flags(int64_t m, int64_t n, int64_t k, int mix) {
  return {m, n, k, (mix & 1) != 0, (mix & 2) != 0, (mix & 4) != 0, (mix & 8) != 0, (mix & 16) != 0};
}

TEST_CASE("gemm is right for every tile height and width, layout and epilogue") {
  int mix = 0;
  for (const int64_t m : {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13}) {
    for (const int64_t n : {1, 2, 3, 4, 5, 8, 10, 15, 16, 17, 24, 31, 33, 47, 48, 49, 50}) {
      for (const int64_t k : {1, 2, 7, 8, 9, 16, 23}) {
        for (int layout = 0; layout < 4; ++layout) check_every_kernel(with_flags(m, n, k, layout + 4 * (mix++ % 8)));
      }
    }
  }
}

TEST_CASE("gemm of the shapes of the MLP 784-128-64-10, forward and gradients") {
  for (const int64_t m : {1, 8, 32, 128}) {
    check_every_kernel({m, 128, 784, false, true, true, true, false});
    check_every_kernel({m, 64, 128, false, true, true, true, false});
    check_every_kernel({m, 10, 64, false, true, true, false, false});
    check_every_kernel({128, 784, m, true, false, false, false, true});
    check_every_kernel({m, 784, 128, false, false, false, false, false});
  }
}

TEST_CASE("gemm beyond one block of rows, columns or depth") {
  for (int layout = 0; layout < 4; ++layout) {
    for (const int epilogue : {12, 28}) {  // bias and relu, without and with accumulation
      const int mix = layout + epilogue;
      check_every_kernel(with_flags(1030, 50, 9, mix));    // more rows than are packed at a time
      check_every_kernel(with_flags(70, 2020, 11, mix));   // more columns
      check_every_kernel(with_flags(100, 20, 1100, mix));  // more depth
      check_every_kernel(with_flags(5, 7, 2060, mix));
      check_every_kernel(with_flags(200, 100, 2060, mix));  // more passes over the packed rows
    }
  }
}

TEST_CASE("gemm of one row by a panel of 48 columns beside one of 32") {
  for (const int64_t n : {65, 80, 161, 176, 784}) {
    for (const int64_t k : {1, 50, 500}) check_every_kernel({1, n, k, false, true, true, true, false});
  }
}

TEST_CASE("gemm with an empty dimension: no sum is 0, no row is no work") {
  for (int mix = 0; mix < 32; ++mix) {
    check_every_kernel(with_flags(3, 5, 0, mix));
    check_every_kernel(with_flags(0, 5, 3, mix));
    check_every_kernel(with_flags(3, 0, 5, mix));
  }
}

TEST_CASE("gemm gives the same bits for any thread count") {
  for (int layout = 0; layout < 4; ++layout) {
    for (const auto& [m, n, k] :
         {std::array<int64_t, 3>{131, 257, 530}, {61, 300, 784}, {1, 4099, 272}, {1030, 96, 40}}) {
      const Case s = with_flags(m, n, k, layout + 28);
      const Operands operands(s);
      for_each_kernel(gemm_kernels, [&](const std::string& isa, GemmKernel* kernel) {
        same_for_any_thread_count(isa + " " + s.name(), [&] { return run(kernel, s, operands); });
      });
    }
  }
  for (const auto& [m, n, k] : {std::array<int64_t, 3>{600, 70, 700}, {40, 900, 530}, {1, 900, 5000}}) {
    const Case s = with_flags(m, n, k, 14);
    const Operands operands(s);
    for_each_kernel(gemm_kernels, [&](const std::string& isa, GemmKernel* kernel) {
      for (const Weight weight : {Weight::packed, Weight::packed_bf16}) {
        same_for_any_thread_count(isa + " packed " + s.name(), [&] { return run(kernel, s, operands, weight); });
      }
    });
  }
}

TEST_CASE("gemm of random shapes") {
  Random random(77);
  for (int i = 0; i < 60; ++i) {
    const int64_t m = random.integer(1, 40), n = random.integer(1, 200), k = random.integer(1, 900);
    check_every_kernel(with_flags(m, n, k, static_cast<int>(random.integer(0, 31))));
    check_every_kernel(with_flags(m, n, k, 2 + 4 * static_cast<int>(random.integer(0, 3))));
  }
}

TEST_CASE("a packed weight: panels of 48 columns, or 32 or 16 at the end, k outside, zeros beyond the matrix") {
  const auto at = [](int64_t row, int64_t column) { return static_cast<float>(1 + row * 10 + column); };
  for (const int64_t rows : {1, 16, 17, 48, 49, 64, 80, 113}) {
    const int64_t depth = 3;
    std::vector<float> values, expected;
    for (int64_t i = 0; i < rows * depth; ++i) values.push_back(at(i / depth, i % depth));
    const int64_t vectors = (rows + 15) / 16;
    // As many panels of three vectors as leave two or none for the rest, which is one or two panels.
    std::vector<int64_t> widths;
    for (int64_t left = vectors; left > 0;) {
      const int64_t width = left == 1 || left == 2 ? left : left == 4 ? 2 : 3;
      widths.push_back(width * 16);
      left -= width;
    }
    int64_t first = 0;
    for (const int64_t width : widths) {
      for (int64_t p = 0; p < depth; ++p) {
        for (int64_t j = first; j < first + width; ++j) expected.push_back(j < rows ? at(j, p) : 0);
      }
      first += width;
    }
    const Tensor w(TERSOR_F32, {rows, depth}, values);
    const Tensor panels(TERSOR_F32, {cpu::packed_elements(rows, depth, TERSOR_F32)});
    Context context;
    CHECK(cpu::pack_gemm(&context, w, panels) == TERSOR_OK);
    check_same_bits("rows " + std::to_string(rows), panels.values<float>(), expected);
  }
}

TEST_CASE("a packed weight of bf16: two k of a column together, zeros beyond the matrix") {
  const int64_t rows = 17, depth = 3, width = 32;
  std::vector<uint16_t> w(static_cast<size_t>(rows * depth)), expected(static_cast<size_t>(width * 4));
  for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<uint16_t>(i + 1);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t p = 0; p < depth; ++p) {
      const int64_t word = p / 2 * width + row;
      expected[static_cast<size_t>(word * 2 + p % 2)] = w[static_cast<size_t>(row * depth + p)];
    }
  }
  REQUIRE(cpu::packed_elements(rows, depth, TERSOR_BF16) == width * 4);
  const Tensor given(TERSOR_BF16, {rows, depth}, w), panels(TERSOR_BF16, {width * 4});
  Context context;
  CHECK(cpu::pack_gemm(&context, given, panels) == TERSOR_OK);
  check_same_bits("panels", panels.values<uint16_t>(), expected);
}

TEST_CASE("a weight of bf16 keeps its subnormal numbers") {
  for (const int64_t m : {1, 9, 40}) {
    const Case s = {m, 50, 3, false, true};
    Operands operands(s);
    for (float& value : operands.a) value = 0x1p+100f;
    for (float& value : operands.b) value = 0x1p-130f;
    for_each_kernel(gemm_kernels, [&](const std::string& isa, GemmKernel* kernel) {
      const std::vector<float> y = run(kernel, s, operands, Weight::packed_bf16);
      check_same_bits(isa, y, std::vector<float>(y.size(), 0x3p-30f));
    });
  }
}

TEST_CASE("gemm passes NaN and infinity on, through the activation too") {
  for (int layout = 0; layout < 4; ++layout) {
    const Case s = with_flags(9, 50, 17, layout + 8);
    Operands operands(s);
    operands.a[static_cast<size_t>(s.transpose_a ? 4 : 4 * s.k)] = NAN;                                  // a[4][0]
    operands.a[static_cast<size_t>(s.transpose_a ? 6 : 6 * s.k)] = INFINITY;                             // a[6][0]
    for (int64_t j = 0; j < s.n; ++j) operands.b[static_cast<size_t>(s.transpose_b ? j * s.k : j)] = 1;  // b[0][j]
    for_each_kernel(gemm_kernels, [&](const std::string& isa, GemmKernel* kernel) {
      INFO("kernel ", isa);
      const bool packs = s.transpose_b && !s.transpose_a;
      for (const Weight weight :
           {packs ? Weight::packed : Weight::as_it_is, packs ? Weight::packed_bf16 : Weight::as_it_is}) {
        const std::vector<float> c = run(kernel, s, operands, weight);
        for (size_t i = 0; i < c.size(); ++i) {
          const size_t row = i / static_cast<size_t>(s.n);
          CAPTURE(i);
          if (row == 4) CHECK(std::isnan(c[i]));
          if (row == 6) CHECK(c[i] == INFINITY);
          if (row != 4 && row != 6) CHECK(std::isfinite(c[i]));
        }
      }
    });
  }
}

TEST_CASE("the backend's gemm reads shapes and flags as the kernels do") {
  const Case s = with_flags(6, 10, 20, 3 + 4 + 16);
  const Operands x(s);
  const Reference reference(s, x);
  const Tensor a(TERSOR_F32, {s.k, s.m}, x.a), b(TERSOR_F32, {s.n, s.k}, x.b);
  const Tensor bias(TERSOR_F32, {s.n}, x.bias), c(TERSOR_F32, {s.m, s.n}, x.c);
  Context context;
  const tersor_epilogue epilogue = {bias, TERSOR_IDENTITY, nullptr};
  CHECK(cpu::gemm(&context, a, 1, b, 1, &epilogue, 1, c) == TERSOR_OK);
  check_close("gemm", c.values<float>(), reference.value, reference.tolerance);
}

TEST_CASE("a cancelled gemm says so") {
  const Case s = {200, 200, 200};
  const Operands x(s);
  const Tensor a(TERSOR_F32, {s.m, s.k}, x.a), b(TERSOR_F32, {s.k, s.n}, x.b), c(TERSOR_F32, {s.m, s.n});
  Context context;
  context.flag = 1;
  CHECK(cpu::gemm(&context, a, 0, b, 0, nullptr, 0, c) == TERSOR_CANCELLED);
  CHECK(std::string(context.message) == "expected to finish, got a cancel request");
}

}  // namespace
}  // namespace tersor::test
