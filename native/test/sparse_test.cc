#include <limits>
#include <numeric>
#include <string>

#include "cpu/operations.h"
#include "cpu/sparse/csr_gemm.h"
#include "typed.h"

namespace tersor::test {
namespace {

struct Case {
  int64_t m, n, k;
  double density;
};

std::string describe(const std::string& isa, const Case& c) {
  return isa + " " + std::to_string(c.m) + "x" + std::to_string(c.n) + "x" + std::to_string(c.k) + " density " +
         std::to_string(c.density);
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const int64_t m : {0, 1, 2, 3, 4, 5, 15, 16, 17, 33}) {
    for (const int64_t n : {0, 1, 7, 64, 65, 130}) {
      for (const int64_t k : {0, 1, 3, 5, 64, 97}) {
        for (const double density : {0.0, 0.1, 0.5, 1.0}) all.push_back({m, n, k, density});
      }
    }
  }
  return all;
}

// A random weight [n, k], dense (with zeros) and in CSR.
template <typename Value>
struct Weight {
  std::vector<Value> dense, values;
  std::vector<uint32_t> row_offsets{0}, columns;

  Weight(const Case& c, std::vector<Value> candidates, Random& random) : dense(std::move(candidates)) {
    for (int64_t i = 0; i < c.n; ++i) {
      for (int64_t p = 0; p < c.k; ++p) {
        Value& v = dense[static_cast<size_t>(i * c.k + p)];
        if (random.uniform(0, 1) >= c.density) v = 0;
        if (v == 0) continue;
        values.push_back(v);
        columns.push_back(static_cast<uint32_t>(p));
      }
      row_offsets.push_back(static_cast<uint32_t>(values.size()));
    }
  }
};

// Guarded tensors of a CSR weight.
template <typename Value>
struct Operand {
  U32 row_offsets, columns;
  Typed<Value> values;
  tersor_csr csr;

  Operand(const std::vector<uint32_t>& offsets, const std::vector<uint32_t>& indices,
          const std::vector<Value>& nonzeros, int64_t k)
      : row_offsets({static_cast<int64_t>(offsets.size())}, offsets),
        columns({static_cast<int64_t>(indices.size())}, indices),
        values({static_cast<int64_t>(nonzeros.size())}, nonzeros),
        csr{view(row_offsets), view(columns), view(values), static_cast<int64_t>(offsets.size()) - 1, k} {}
  Operand(const Weight<Value>& w, int64_t k) : Operand(w.row_offsets, w.columns, w.values, k) {}

 private:
  static tersor_tensor view(const Tensor& tensor) { return *static_cast<const tersor_tensor*>(tensor); }
};

// Exact integers, then the float steps in the order that backend.h gives them.
float int8_output(int64_t sum, int64_t zero_point, int64_t row_sum, float factor, const float* bias, bool relu) {
  float y = static_cast<float>(sum - zero_point * row_sum) * factor;
  if (bias != nullptr) y += *bias;
  return relu && y < 0 ? 0.0f : y;
}

}  // namespace

TEST_CASE("csr_gemm: every kernel and shape against float64") {
  for_each_kernel(cpu::csr_f32_kernels, [](const std::string& isa, cpu::CsrKernelF32* kernel) {
    for (const Case& c : cases()) {
      Random random(static_cast<uint32_t>(c.m + 31 * c.n + 977 * c.k));
      const Weight<float> w(c, random.uniforms<float>(c.n * c.k, -1, 1), random);
      const auto x = random.uniforms<float>(c.m * c.k, -1, 1), bias = random.uniforms<float>(c.n, -1, 1);
      const bool has_bias = c.k % 2 == 1, relu = c.n % 2 == 1;
      std::vector<double> expected, tolerance;
      for (int64_t i = 0; i < c.m; ++i) {
        for (int64_t j = 0; j < c.n; ++j) {
          double sum = has_bias ? bias[static_cast<size_t>(j)] : 0.0, size = std::fabs(sum);
          for (int64_t p = 0; p < c.k; ++p) {
            const double term = static_cast<double>(x[static_cast<size_t>(i * c.k + p)]) *
                                static_cast<double>(w.dense[static_cast<size_t>(j * c.k + p)]);
            sum += term;
            size += std::fabs(term);
          }
          expected.push_back(relu ? std::max(sum, 0.0) : sum);
          // Any order of summation (Higham 2002, section 3.5).
          tolerance.push_back(1.01 * static_cast<double>(c.k + 2) * kEpsilon * size);
        }
      }
      Context context;
      const F32 tx({c.m, c.k}, x), tb({c.n}, bias), y({c.m, c.n});
      const Operand<float> operand(w, c.k);
      const tersor_epilogue epilogue = {has_bias ? static_cast<const tersor_tensor*>(tb) : nullptr,
                                        relu ? TERSOR_RELU : TERSOR_IDENTITY, nullptr};
      REQUIRE(cpu::csr_gemm_with(kernel, &context, tx, &operand.csr, &epilogue, y) == TERSOR_OK);
      check_close(describe(isa, c), y.values(), expected, tolerance);
    }
  });
}

TEST_CASE("csr_gemm_int8: every kernel and shape, bit for bit") {
  for_each_kernel(cpu::csr_i8_kernels, [](const std::string& isa, cpu::CsrKernelI8* kernel) {
    for (const Case& c : cases()) {
      Random random(static_cast<uint32_t>(c.m + 31 * c.n + 977 * c.k));
      const Weight<int8_t> w(c, random.integers<int8_t>(c.n * c.k, -128, 127), random);
      const auto x = random.integers<uint8_t>(c.m * c.k, 0, 255);
      const auto bias = random.uniforms<float>(c.n, -1, 1);
      const bool one_scale = c.m % 2 == 1, has_bias = c.k % 2 == 1, relu = c.n % 2 == 1;
      const auto scales = random.uniforms<float>(one_scale ? 1 : c.n, 0.001, 0.01);
      const auto zero_point = static_cast<int32_t>(random.integer(0, 255));
      const float input_scale = 0.0173f;

      std::vector<int32_t> row_sums;
      for (int64_t j = 0; j < c.n; ++j) {
        const auto row = w.dense.begin() + j * c.k;
        row_sums.push_back(std::accumulate(row, row + c.k, 0));
      }
      std::vector<float> expected;
      for (int64_t i = 0; i < c.m; ++i) {
        for (int64_t j = 0; j < c.n; ++j) {
          const auto at = static_cast<size_t>(j);
          int64_t sum = 0;
          for (int64_t p = 0; p < c.k; ++p) {
            sum += x[static_cast<size_t>(i * c.k + p)] * w.dense[static_cast<size_t>(j * c.k + p)];
          }
          expected.push_back(int8_output(sum, zero_point, row_sums[at], input_scale * scales[one_scale ? 0 : at],
                                         has_bias ? &bias[at] : nullptr, relu));
        }
      }
      Context context;
      const Typed<uint8_t> tx({c.m, c.k}, x);
      const F32 ts({one_scale ? 1 : c.n}, scales), tb({c.n}, bias), y({c.m, c.n}), dense_y({c.m, c.n});
      const I32 tr({c.n}, row_sums);
      const Typed<int8_t> dense({c.n, c.k}, w.dense);
      const Operand<int8_t> operand(w, c.k);
      const tersor_int8_epilogue epilogue{
          input_scale,
          zero_point,
          ts,
          tr,
          {has_bias ? static_cast<const tersor_tensor*>(tb) : nullptr, relu ? TERSOR_RELU : TERSOR_IDENTITY, nullptr}};
      REQUIRE(cpu::csr_gemm_int8_with(kernel, &context, tx, &operand.csr, &epilogue, y) == TERSOR_OK);
      check_same_bits(describe(isa, c), y.values(), expected);
      REQUIRE(cpu::gemm_int8(&context, tx, dense, &epilogue, dense_y) == TERSOR_OK);
      check_same_bits(describe(isa, c) + " as a dense weight", dense_y.values(), y.values());
    }
  });
}

TEST_CASE("csr_gemm_int8: the largest sums that 32 bits hold are exact") {
  constexpr int64_t kNonzeros = 65793;  // floor((2^31 - 1) / (255 * 128))
  for_each_kernel(cpu::csr_i8_kernels, [&](const std::string& isa, cpu::CsrKernelI8* kernel) {
    for (const int64_t m : {1, 16}) {
      Context context;
      std::vector<uint32_t> columns(kNonzeros);
      for (uint32_t j = 0; j < kNonzeros; ++j) columns[j] = j;
      const Operand<int8_t> w({0, kNonzeros}, columns, std::vector<int8_t>(kNonzeros, -128), kNonzeros);
      const Typed<uint8_t> x({m, kNonzeros}, std::vector<uint8_t>(static_cast<size_t>(m * kNonzeros), 255));
      const F32 scale({1}, {1}), y({m, 1});
      const I32 row_sum({1}, {-128 * kNonzeros});
      const tersor_int8_epilogue epilogue{1.0f, 0, scale, row_sum, {}};
      REQUIRE(cpu::csr_gemm_int8_with(kernel, &context, x, &w.csr, &epilogue, y) == TERSOR_OK);
      check_same_bits(isa, y.values(),
                      std::vector<float>(static_cast<size_t>(m), static_cast<float>(-128 * 255 * kNonzeros)));
    }
  });
  Context context;
  std::vector<uint32_t> columns(kNonzeros + 1);
  for (uint32_t j = 0; j <= kNonzeros; ++j) columns[j] = j;
  const Operand<int8_t> w({0, kNonzeros + 1}, columns, std::vector<int8_t>(kNonzeros + 1, 1), kNonzeros + 1);
  const Typed<uint8_t> x({1, kNonzeros + 1});
  const F32 scale({1}, {1}), y({1, 1});
  const I32 row_sum({1}, {0});
  const tersor_int8_epilogue epilogue{1.0f, 0, scale, row_sum, {}};
  CHECK(cpu::csr_gemm_int8(&context, x, &w.csr, &epilogue, y) == TERSOR_UNSUPPORTED);
}

TEST_CASE("csr products: same bits for any thread count, several scratch fillings") {
  const Case c{300, 700, 9000, 0.02};
  Random random(91);
  const Weight<float> w(c, random.uniforms<float>(c.n * c.k, -1, 1), random);
  const auto x = random.uniforms<float>(c.m * c.k, -1, 1);
  for (const int64_t m : {int64_t{1}, int64_t{16}, c.m}) {
    same_for_any_thread_count("csr_gemm " + std::to_string(m), [&] {
      Context context;
      const F32 tx({m, c.k}, std::vector<float>(x.begin(), x.begin() + m * c.k)), y({m, c.n});
      const Operand<float> operand(w, c.k);
      REQUIRE(cpu::csr_gemm(&context, tx, &operand.csr, nullptr, y) == TERSOR_OK);
      return y.values();
    });
  }
}

TEST_CASE("csr products: NaN in an activation shows only where a weight meets it, relu keeps it") {
  Context context;
  std::vector<float> x(4 * 2, 1.0f);
  x[3] = std::nanf("");
  const F32 tx({4, 2}, x), y({4, 2});
  const Operand<float> w({0, 1, 2}, {0, 1}, std::vector<float>{1, 1}, 2);
  const tersor_epilogue relu = {nullptr, TERSOR_RELU, nullptr};
  REQUIRE(cpu::csr_gemm(&context, tx, &w.csr, &relu, y) == TERSOR_OK);
  CHECK(std::isnan(y[3]));
  for (const size_t i : {0, 1, 2, 4, 5, 6, 7}) CHECK(y[i] == 1.0f);
}

TEST_CASE("csr products: indices that lie are named, and nothing is read through them") {
  const uint32_t huge = std::numeric_limits<uint32_t>::max();
  const struct {
    std::vector<uint32_t> row_offsets, columns;
    std::string message;
  } lies[] = {
      {{1, 1, 2}, {0, 1}, "expected 0, got 1, at row_offsets[0]"},
      {{0, 2, 1}, {0, 1}, "expected an offset in [2, 2], got 1, at row_offsets[2]"},
      {{0, huge, 2}, {0, 1}, "expected an offset in [0, 2], got 4294967295, at row_offsets[1]"},
      {{0, 1, 3}, {0, 1}, "expected an offset in [1, 2], got 3, at row_offsets[2]"},
      {{0, 1, 1}, {0, 1}, "expected 2, the number of nonzeros, got 1, at row_offsets[2]"},
      {{0, 1, 2}, {0, 5}, "expected a column < 5, got 5, at columns[1]"},
      {{0, 1, 2}, {huge, 1}, "expected a column < 5, got 4294967295, at columns[0]"},
      {{0, 1, 2}, {0, 0x80000000u}, "expected a column < 5, got 2147483648, at columns[1]"},
  };
  for (const auto& lie : lies) {
    Context context;
    const Operand<float> w(lie.row_offsets, lie.columns, std::vector<float>{1, 1}, 5);
    const Operand<int8_t> w8(lie.row_offsets, lie.columns, std::vector<int8_t>{1, 1}, 5);
    const F32 x({1, 5}, {1, 1, 1, 1, 1}), scale({1}, {1}), y({1, 2});
    const Typed<uint8_t> x8({1, 5});
    const I32 row_sums({2}, {0, 0});
    const tersor_int8_epilogue epilogue{1.0f, 0, scale, row_sums, {}};
    CHECK(cpu::csr_gemm(&context, x, &w.csr, nullptr, y) == TERSOR_OUT_OF_RANGE);
    CHECK(std::string(context.message) == lie.message);
    CHECK(cpu::csr_gemm_int8(&context, x8, &w8.csr, &epilogue, y) == TERSOR_OUT_OF_RANGE);
    CHECK(std::string(context.message) == lie.message);
  }
}

TEST_CASE("csr products: a raised cancel flag stops the work") {
  Context context;
  context.flag = 1;
  const Operand<float> w({0, 1}, {0}, std::vector<float>{1}, 1);
  const F32 x({20, 1}, std::vector<float>(20, 1.0f)), y({20, 1});
  CHECK(cpu::csr_gemm(&context, x, &w.csr, nullptr, y) == TERSOR_CANCELLED);
}

}  // namespace tersor::test
