#include <limits>
#include <memory>
#include <numeric>
#include <string>

#include "cpu/operations.h"
#include "cpu/sparse/csr_gemm.h"
#include "cpu/sparse/transpose.h"
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
  // Several chunks of rows, blocks of columns, tiles of activations, passes over the activations.
  all.insert(all.end(), {{1, 601, 1030, 0.03},
                         {1, 601, 1030, 0.4},
                         {33, 530, 1030, 0.02},
                         {70, 270, 1030, 0.3},
                         {49, 40, 2049, 0.1},
                         {150, 35, 300, 0.5}});
  Random random(7);
  for (int i = 0; i < 24; ++i) {
    const int64_t m = random.integer(1, 40), n = random.integer(1, 400), k = random.integer(1, 700);
    all.push_back({m, n, k, random.uniform(0, i % 2 == 0 ? 0.1 : 0.9)});
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
      // Some rows are much longer than the others.
      const double kept = c.density == 1 ? 1 : c.density * (i % 13 == 5 ? 3 : 0.8);
      for (int64_t p = 0; p < c.k; ++p) {
        Value& v = dense[static_cast<size_t>(i * c.k + p)];
        if (random.uniform(0, 1) >= kept) v = 0;
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
  std::unique_ptr<Typed<uint8_t>> packed;

  Operand(const std::vector<uint32_t>& offsets, const std::vector<uint32_t>& indices,
          const std::vector<Value>& nonzeros, int64_t k)
      : row_offsets({static_cast<int64_t>(offsets.size())}, offsets),
        columns({static_cast<int64_t>(indices.size())}, indices),
        values({static_cast<int64_t>(nonzeros.size())}, nonzeros),
        csr{view(row_offsets), view(columns), view(values), static_cast<int64_t>(offsets.size()) - 1, k} {}
  // Of values in as many elements as their type takes.
  Operand(const std::vector<uint32_t>& offsets, const std::vector<uint32_t>& indices,
          const std::vector<Value>& nonzeros, int64_t k, tersor_dtype dtype)
      : row_offsets({static_cast<int64_t>(offsets.size())}, offsets),
        columns({static_cast<int64_t>(indices.size())}, indices),
        values({static_cast<int64_t>(indices.size())}, nonzeros, dtype),
        csr{view(row_offsets), view(columns), view(values), static_cast<int64_t>(offsets.size()) - 1, k} {}
  Operand(const Weight<Value>& w, int64_t k) : Operand(w.row_offsets, w.columns, w.values, k) {}

  tersor_packed_csr pack() {
    Context context;
    const Typed<int64_t> bytes({1}, TERSOR_I64);
    REQUIRE(cpu::csr_packed_bytes(&context, &csr, bytes) == TERSOR_OK);
    packed = std::make_unique<Typed<uint8_t>>(Shape{bytes[0]});
    REQUIRE(cpu::pack_csr(&context, &csr, *packed) == TERSOR_OK);
    return {view(*packed), csr.rows, csr.cols};
  }

 private:
  static tersor_tensor view(const Tensor& tensor) { return *static_cast<const tersor_tensor*>(tensor); }
};

// A weight of -8..7 as u4.
Operand<uint8_t> of_four_bits(const Weight<int8_t>& w, int64_t k) {
  std::vector<uint8_t> pairs((w.values.size() + 1) / 2, 0);
  for (size_t i = 0; i < w.values.size(); ++i) {
    pairs[i / 2] = static_cast<uint8_t>(pairs[i / 2] | (w.values[i] + 8) << (i % 2 * 4));
  }
  return Operand<uint8_t>(w.row_offsets, w.columns, pairs, k, TERSOR_U4);
}

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
      Operand<float> operand(w, c.k);
      const tersor_packed_csr packed = operand.pack();
      const tersor_epilogue epilogue = {has_bias ? static_cast<const tersor_tensor*>(tb) : nullptr,
                                        relu ? TERSOR_RELU : TERSOR_IDENTITY, nullptr};
      REQUIRE(cpu::csr_gemm_with(kernel, &context, tx, &packed, &epilogue, y) == TERSOR_OK);
      check_close(describe(isa, c), y.values(), expected, tolerance);
    }
  });
}

namespace {

// The kernels of a list, on values of 8 bits or of 4.
void check_int8_kernels(const KernelList<cpu::CsrKernelI8>& kernels, bool is_short) {
  for_each_kernel(kernels, [&](const std::string& isa, cpu::CsrKernelI8* kernel) {
    for (const Case& c : cases()) {
      const int64_t high = is_short ? 7 : 127;
      Random random(static_cast<uint32_t>(c.m + 31 * c.n + 977 * c.k));
      const Weight<int8_t> w(c, random.integers<int8_t>(c.n * c.k, -high - 1, high), random);
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
      Operand<int8_t> whole(w, c.k);
      Operand<uint8_t> half = of_four_bits(w, c.k);
      const tersor_packed_csr packed = is_short ? half.pack() : whole.pack();
      const Typed<uint8_t> dense_packed({cpu::int8_bytes(c.n, c.k)});
      const tersor_int8_epilogue epilogue{
          input_scale,
          zero_point,
          ts,
          tr,
          {has_bias ? static_cast<const tersor_tensor*>(tb) : nullptr, relu ? TERSOR_RELU : TERSOR_IDENTITY, nullptr}};
      REQUIRE(cpu::csr_gemm_int8_with(kernel, &context, tx, &packed, &epilogue, y) == TERSOR_OK);
      check_same_bits(describe(isa, c), y.values(), expected);
      REQUIRE(cpu::pack_int8(&context, dense, dense_packed) == TERSOR_OK);
      const tersor_int8_weight view{*static_cast<const tersor_tensor*>(dense_packed), c.n, c.k};
      const tersor_int8_codes input{input_scale, zero_point};
      REQUIRE(cpu::gemm_int8(&context, tx, &view, &input, ts, &epilogue.after, nullptr, dense_y) == TERSOR_OK);
      check_same_bits(describe(isa, c) + " as a dense weight", dense_y.values(), y.values());
    }
  });
}

}  // namespace

TEST_CASE("csr_gemm_int8: every kernel and shape, bit for bit") { check_int8_kernels(cpu::csr_i8_kernels, false); }

TEST_CASE("csr_gemm_int8 of 4 bits: every kernel and shape, bit for bit") {
  check_int8_kernels(cpu::csr_i4_kernels, true);
}

TEST_CASE("csr_gemm_int8: the largest sums that 32 bits hold are exact") {
  constexpr int64_t kNonzeros = 65793;  // floor((2^31 - 1) / (255 * 128))
  for_each_kernel(cpu::csr_i8_kernels, [&](const std::string& isa, cpu::CsrKernelI8* kernel) {
    for (const int64_t m : {1, 16}) {
      Context context;
      std::vector<uint32_t> columns(kNonzeros);
      for (uint32_t j = 0; j < kNonzeros; ++j) columns[j] = j;
      Operand<int8_t> w({0, kNonzeros}, columns, std::vector<int8_t>(kNonzeros, -128), kNonzeros);
      const tersor_packed_csr packed = w.pack();
      const Typed<uint8_t> x({m, kNonzeros}, std::vector<uint8_t>(static_cast<size_t>(m * kNonzeros), 255));
      const F32 scale({1}, {1}), y({m, 1});
      const I32 row_sum({1}, {-128 * kNonzeros});
      const tersor_int8_epilogue epilogue{1.0f, 0, scale, row_sum, {}};
      REQUIRE(cpu::csr_gemm_int8_with(kernel, &context, x, &packed, &epilogue, y) == TERSOR_OK);
      check_same_bits(isa, y.values(),
                      std::vector<float>(static_cast<size_t>(m), static_cast<float>(-128 * 255 * kNonzeros)));
    }
  });
  Context context;
  std::vector<uint32_t> columns(kNonzeros + 1);
  for (uint32_t j = 0; j <= kNonzeros; ++j) columns[j] = j;
  const Operand<int8_t> w({0, kNonzeros + 1}, columns, std::vector<int8_t>(kNonzeros + 1, 1), kNonzeros + 1);
  const Typed<int64_t> bytes({1}, TERSOR_I64);
  CHECK(cpu::csr_packed_bytes(&context, &w.csr, bytes) == TERSOR_UNSUPPORTED);
}

TEST_CASE("csr_gemm_int8 of 4 bits: a slot takes two thirds of one of 8, the bits do not depend on threads") {
  const Case c{70, 300, 1200, 0.1};
  Random random(17);
  const Weight<int8_t> w(c, random.integers<int8_t>(c.n * c.k, -8, 7), random);
  Operand<int8_t> whole(w, c.k);
  Operand<uint8_t> half = of_four_bits(w, c.k);
  whole.pack();
  const tersor_packed_csr packed = half.pack();
  const cpu::CsrHeader& header = cpu::PackedCsr(packed.packed.data).header();
  int64_t slots = 0;
  for (int64_t i = 0; i < header.chunks; ++i) {
    const cpu::PackedCsr layout(packed.packed.data);
    slots += (layout.end_of(i) - layout.slots_at(i)) / 64;
  }
  CHECK(static_cast<int64_t>(whole.packed->bytes() - half.packed->bytes()) == slots * 32);
  const Typed<uint8_t> x({c.m, c.k}, random.integers<uint8_t>(c.m * c.k, 0, 255));
  const F32 scale({1}, {0.01f}), y({c.m, c.n});
  const I32 row_sums({c.n}, std::vector<int32_t>(static_cast<size_t>(c.n), 5));
  const tersor_int8_epilogue epilogue{1.0f, 3, scale, row_sums, {}};
  same_for_any_thread_count("csr_gemm_int8 of 4 bits", [&] {
    Context context;
    REQUIRE(cpu::csr_gemm_int8(&context, x, &packed, &epilogue, y) == TERSOR_OK);
    return y.values();
  });
}

TEST_CASE("transpose: every kernel and shape, nothing outside written") {
  for_each_kernel(cpu::transpose_kernels, [](const std::string& isa, cpu::TransposeKernel* kernel) {
    for (const int64_t rows : {0, 1, 3, 4, 15, 16, 17, 37}) {
      for (const int64_t columns : {0, 1, 3, 4, 15, 16, 17, 37}) {
        CAPTURE(isa);
        CAPTURE(rows);
        CAPTURE(columns);
        // Rows are longer than the columns that are taken.
        const I32 from({rows, columns + 2}, Random(3).integers<int32_t>(rows * (columns + 2), -1000, 1000));
        const I32 to({columns, rows + 3}, std::vector<int32_t>(static_cast<size_t>(columns * (rows + 3)), 7));
        kernel(from.data<int32_t>(), (columns + 2) * 4, rows, columns, to.data<int32_t>(), rows + 3);
        for (int64_t j = 0; j < columns; ++j) {
          for (int64_t i = 0; i < rows + 3; ++i) {
            const int32_t expected = i < rows ? from[static_cast<size_t>(i * (columns + 2) + j)] : 7;
            REQUIRE(to[static_cast<size_t>(j * (rows + 3) + i)] == expected);
          }
        }
      }
    }
  });
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
      Operand<float> operand(w, c.k);
      const tersor_packed_csr packed = operand.pack();
      REQUIRE(cpu::csr_gemm(&context, tx, &packed, nullptr, y) == TERSOR_OK);
      return y.values();
    });
  }
}

TEST_CASE("csr_gemm: a row of y does not depend on the rows beside it") {
  const Case c{67, 300, 600, 0.1};
  Random random(5);
  const Weight<float> w(c, random.uniforms<float>(c.n * c.k, -1, 1), random);
  const auto x = random.uniforms<float>(c.m * c.k, -1, 1);
  Operand<float> operand(w, c.k);
  const tersor_packed_csr packed = operand.pack();
  for_each_kernel(cpu::csr_f32_kernels, [&](const std::string& isa, cpu::CsrKernelF32* kernel) {
    Context context;
    const F32 all({c.m, c.k}, x), y({c.m, c.n});
    REQUIRE(cpu::csr_gemm_with(kernel, &context, all, &packed, nullptr, y) == TERSOR_OK);
    for (const int64_t row : {int64_t{0}, int64_t{31}, c.m - 1}) {
      const auto at = static_cast<std::ptrdiff_t>(row);
      const F32 one({1, c.k}, std::vector<float>(x.begin() + at * c.k, x.begin() + (at + 1) * c.k)), y1({1, c.n});
      REQUIRE(cpu::csr_gemm_with(kernel, &context, one, &packed, nullptr, y1) == TERSOR_OK);
      const auto whole = y.values();
      check_same_bits(isa, y1.values(), {whole.begin() + at * c.n, whole.begin() + (at + 1) * c.n});
    }
  });
}

TEST_CASE("csr products: NaN and infinity in an activation show only where a weight meets them, relu keeps NaN") {
  for_each_kernel(cpu::csr_f32_kernels, [&](const std::string& isa, cpu::CsrKernelF32* kernel) {
    CAPTURE(isa);
    for (const int64_t m : {1, 4}) {
      Context context;
      std::vector<float> x(static_cast<size_t>(m * 3), 1.0f);
      x[1] = std::nanf("");
      x[2] = HUGE_VALF;
      const F32 tx({m, 3}, x), y({m, 4});
      // The rows have 1, 1, 2 and 0 nonzeros, so that some are filled up.
      Operand<float> w({0, 1, 2, 4, 4}, {0, 1, 0, 2}, std::vector<float>{1, 1, 1, 1}, 3);
      const tersor_packed_csr packed = w.pack();
      const tersor_epilogue relu = {nullptr, TERSOR_RELU, nullptr};
      REQUIRE(cpu::csr_gemm_with(kernel, &context, tx, &packed, &relu, y) == TERSOR_OK);
      CHECK(y[0] == 1.0f);
      CHECK(std::isnan(y[1]));
      CHECK(y[2] == HUGE_VALF);
      CHECK(y[3] == 0.0f);
      for (size_t i = 4; i < static_cast<size_t>(4 * m); ++i) CHECK(y[i] == std::vector<float>{1, 1, 2, 0}[i % 4]);
    }
  });
}

TEST_CASE("pack_csr: indices that lie are named, and nothing is read through them") {
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
      {{0, 0, 2}, {3, 3}, "expected a column > 3 inside row 1, got 3, at columns[1]"},
      {{0, 2, 2}, {3, 2}, "expected a column > 3 inside row 0, got 2, at columns[1]"},
  };
  for (const auto& lie : lies) {
    Context context;
    const Operand<float> w(lie.row_offsets, lie.columns, std::vector<float>{1, 1}, 5);
    const Operand<int8_t> w8(lie.row_offsets, lie.columns, std::vector<int8_t>{1, 1}, 5);
    const Typed<int64_t> bytes({1}, TERSOR_I64);
    const Typed<uint8_t> packed({4096});
    for (const tersor_csr* csr : {&w.csr, &w8.csr}) {
      CHECK(cpu::csr_packed_bytes(&context, csr, bytes) == TERSOR_OUT_OF_RANGE);
      CHECK(std::string(context.message) == lie.message);
      CHECK(cpu::pack_csr(&context, csr, packed) == TERSOR_OUT_OF_RANGE);
      CHECK(std::string(context.message) == lie.message);
    }
  }
}

// Packs the places of a weight's nonzeros, last first, so that values stand in reverse order.
struct Pattern {
  Operand<uint32_t> operand;
  tersor_packed_csr packed;

  Pattern(const Weight<float>& w, int64_t k)
      : operand(w.row_offsets, w.columns, reversed_places(w.columns.size()), k), packed(operand.pack()) {}

  static std::vector<uint32_t> reversed_places(size_t count) {
    std::vector<uint32_t> places(count);
    for (size_t j = 0; j < count; ++j) places[j] = static_cast<uint32_t>(count - j);
    return places;
  }
};

TEST_CASE("csr_set_values: the bytes that pack_csr makes of the values") {
  for (const Case& c : cases()) {
    if (c.m > 1) continue;
    Random random(static_cast<uint32_t>(31 * c.n + 977 * c.k));
    const Weight<float> w(c, random.uniforms<float>(c.n * c.k, -1, 1), random);
    Operand<float> operand(w, c.k);
    operand.pack();
    const Pattern pattern(w, c.k);
    const F32 values({static_cast<int64_t>(w.values.size())}, {w.values.rbegin(), w.values.rend()});
    same_for_any_thread_count(describe("csr_set_values", c), [&] {
      Context context;
      const Typed<uint8_t> packed(Shape{static_cast<int64_t>(operand.packed->bytes())});
      REQUIRE(cpu::csr_set_values(&context, &pattern.packed, values, packed) == TERSOR_OK);
      check_same_bits(describe("csr_set_values", c), packed.values(), operand.packed->values());
      return packed.values();
    });
  }
}

TEST_CASE("csr_sddmm: every kernel and shape against float64, same bits for any thread count") {
  for_each_kernel(cpu::csr_sddmm_kernels, [](const std::string& isa, cpu::CsrSddmmKernel* kernel) {
    for (const Case& c : cases()) {
      Random random(static_cast<uint32_t>(c.m + 31 * c.n + 977 * c.k));
      const Weight<float> w(c, random.uniforms<float>(c.n * c.k, -1, 1), random);
      const auto dy = random.uniforms<float>(c.m * c.n, -1, 1), x = random.uniforms<float>(c.m * c.k, -1, 1);
      std::vector<double> expected, tolerance;
      for (int64_t n = 0; n < c.n; ++n) {
        for (uint32_t j = w.row_offsets[static_cast<size_t>(n)]; j < w.row_offsets[static_cast<size_t>(n + 1)]; ++j) {
          double sum = 0, size = 0;
          for (int64_t m = 0; m < c.m; ++m) {
            const double term = static_cast<double>(dy[static_cast<size_t>(m * c.n + n)]) *
                                static_cast<double>(x[static_cast<size_t>(m * c.k + w.columns[j])]);
            sum += term;
            size += std::fabs(term);
          }
          expected.push_back(sum);
          tolerance.push_back(1.01 * static_cast<double>(c.m + 2) * kEpsilon * size);
        }
      }
      std::reverse(expected.begin(), expected.end());
      std::reverse(tolerance.begin(), tolerance.end());
      const Pattern pattern(w, c.k);
      const F32 tdy({c.m, c.n}, dy), tx({c.m, c.k}, x);
      const auto values = same_for_any_thread_count(describe(isa, c), [&] {
        Context context;
        const F32 out({static_cast<int64_t>(w.values.size())});
        REQUIRE(cpu::csr_sddmm_with(kernel, &context, tdy, tx, &pattern.packed, out) == TERSOR_OK);
        return out.values();
      });
      check_close(describe(isa, c), values, expected, tolerance);
    }
  });
}

TEST_CASE("csr_sddmm: NaN and infinity reach the nonzeros whose row or column they stand in, and no others") {
  for_each_kernel(cpu::csr_sddmm_kernels, [](const std::string& isa, cpu::CsrSddmmKernel* kernel) {
    CAPTURE(isa);
    Context context;
    // Nonzeros (0, 0), (0, 1), (1, 1), (2, 2) of a weight [3, 3].
    Operand<uint32_t> pattern({0, 2, 3, 4}, {0, 1, 1, 2}, std::vector<uint32_t>{1, 2, 3, 4}, 3);
    const tersor_packed_csr packed = pattern.pack();
    const float nan = std::nanf("");
    const F32 dy({2, 3}, {1, 2, 3, 1, 1, 1}), x({2, 3}, {1, nan, HUGE_VALF, 1, 1, 1}), values({4});
    REQUIRE(cpu::csr_sddmm_with(kernel, &context, dy, x, &packed, values) == TERSOR_OK);
    CHECK(values[0] == 2.0f);
    CHECK(std::isnan(values[1]));
    CHECK(std::isnan(values[2]));
    CHECK(values[3] == HUGE_VALF);
  });
}

TEST_CASE("csr patterns: wrong counts and kinds are refused, places that are none are harmless") {
  Context context;
  Operand<uint32_t> pattern({0, 1, 2}, {0, 1}, std::vector<uint32_t>{7, 0}, 2);
  const tersor_packed_csr packed = pattern.pack();
  const F32 x({1, 2}, {1, 1}), one({1}, {1}), two({2}, {1, 1});
  const Typed<uint8_t> out(Shape{static_cast<int64_t>(pattern.packed->bytes())});
  CHECK(cpu::csr_gemm(&context, x, &packed, nullptr, two) == TERSOR_INVALID_ARGUMENT);
  CHECK(cpu::csr_set_values(&context, &packed, one, out) == TERSOR_INVALID_SHAPE);
  CHECK(std::string(context.message) == "expected 2 values, one for every nonzero, got 1, at values");
  CHECK(cpu::csr_sddmm(&context, x, x, &packed, one) == TERSOR_INVALID_SHAPE);
  REQUIRE(cpu::csr_set_values(&context, &packed, two, out) == TERSOR_OK);
  const tersor_packed_csr weight = {*static_cast<const tersor_tensor*>(out), 2, 2};
  const F32 y({1, 2});
  REQUIRE(cpu::csr_gemm(&context, x, &weight, nullptr, y) == TERSOR_OK);
  check_same_bits("values of no nonzero", y.values(), {0, 0});
  CHECK(cpu::csr_sddmm(&context, x, x, &weight, two) == TERSOR_INVALID_ARGUMENT);
  REQUIRE(cpu::csr_sddmm(&context, x, x, &packed, two) == TERSOR_OK);
  check_same_bits("gradients of no nonzero", two.values(), {0, 0});
}

TEST_CASE("csr products: a packed weight of another kind, shape or size is refused") {
  Context context;
  Operand<float> w({0, 1, 2}, {0, 1}, std::vector<float>{1, 1}, 2);
  const tersor_packed_csr packed = w.pack();
  const F32 x({1, 2}, {1, 1}), y({1, 2}), scale({1}, {1});
  const Typed<uint8_t> x8({1, 2}), too_short({32}), zeros(Shape{static_cast<int64_t>(w.packed->bytes())});
  std::fill(too_short.data<uint8_t>(), too_short.data<uint8_t>() + too_short.bytes(), uint8_t{0});
  std::fill(zeros.data<uint8_t>(), zeros.data<uint8_t>() + zeros.bytes(), uint8_t{0});
  const I32 row_sums({2}, {0, 0});
  const tersor_int8_epilogue epilogue{1.0f, 0, scale, row_sums, {}};
  CHECK(cpu::csr_gemm_int8(&context, x8, &packed, &epilogue, y) == TERSOR_INVALID_ARGUMENT);
  CHECK(std::string(context.message) ==
        "expected what pack_csr makes of a weight of integers [2, 2], got other bytes, at packed");
  for (const tersor_packed_csr& wrong : {tersor_packed_csr{packed.packed, 3, 2}, tersor_packed_csr{packed.packed, 2, 3},
                                         tersor_packed_csr{*static_cast<const tersor_tensor*>(too_short), 2, 2},
                                         tersor_packed_csr{*static_cast<const tersor_tensor*>(zeros), 2, 2}}) {
    CHECK(cpu::csr_gemm(&context, x, &wrong, nullptr, y) == TERSOR_INVALID_ARGUMENT);
  }
  CHECK(cpu::pack_csr(&context, &w.csr, too_short) == TERSOR_INVALID_SHAPE);
}

TEST_CASE("csr products: a raised cancel flag stops the work") {
  Context context;
  Operand<float> w({0, 1}, {0}, std::vector<float>{1}, 1);
  const tersor_packed_csr packed = w.pack();
  context.flag = 1;
  const F32 x({20, 1}, std::vector<float>(20, 1.0f)), y({20, 1});
  CHECK(cpu::csr_gemm(&context, x, &packed, nullptr, y) == TERSOR_CANCELLED);
}

}  // namespace tersor::test
