#include <limits>
#include <string>

#include "cpu/operations.h"
#include "cpu/sparse/block_gemm_int8.h"
#include "typed.h"

namespace tersor::test {
namespace {

using cpu::block_gemm_int8_kernels;
using cpu::block_gemm_int8_with;
using cpu::BlockInt8Kernel;

// A random weight of i8 blocks: dense, and as the operation takes it.
struct Problem {
  int64_t m, n, k, block_rows, bits;
  std::vector<int8_t> dense, values;
  std::vector<uint32_t> offsets{0}, columns;
  std::vector<float> scales, bias, residual;
  std::vector<uint8_t> x;
  tersor_int8_codes input{0.037f, 0};
  tersor_activation activation = TERSOR_IDENTITY;

  Problem(uint32_t seed, int64_t block, int64_t m_, int64_t n_, int64_t k_, double density, int64_t bits_ = 8)
      : m(m_), n(n_), k(k_), block_rows(block), bits(bits_), dense(static_cast<size_t>(n * k), 0) {
    Random random(seed);
    const int64_t high = bits == 8 ? 127 : 7;
    for (int64_t row = 0; row < n; row += block) {
      for (int64_t column = 0; column < k; column += 4) {
        if (random.uniform(0, 1) >= density) continue;
        columns.push_back(static_cast<uint32_t>(column / 4));
        for (int64_t r = row; r < row + block; ++r) {
          for (int64_t c = column; c < column + 4; ++c) {
            const bool inside = r < n && c < k;
            values.push_back(inside ? static_cast<int8_t>(random.integer(-high - 1, high)) : int8_t{0});
            if (inside) dense[static_cast<size_t>(r * k + c)] = values.back();
          }
        }
      }
      offsets.push_back(static_cast<uint32_t>(columns.size()));
    }
    input.zero_point = static_cast<int32_t>(random.integer(0, 255));
    x = random.integers<uint8_t>(m * k, 0, 255);
    scales = random.uniforms<float>(seed % 3 == 0 ? 1 : n, 0.001, 0.1);
    if (seed % 2 == 1) bias = random.uniforms<float>(n, -1, 1);
    if (seed % 5 == 1) residual = random.uniforms<float>(m * n, -1, 1);
    if (seed % 7 < 3) activation = TERSOR_RELU;
  }

  std::string name() const {
    return " " + std::to_string(block_rows) + "x4 of " + std::to_string(bits) + " bits, " + std::to_string(m) + "x" +
           std::to_string(n) + "x" + std::to_string(k);
  }

  // Byte i of a block holds number i and the one half a block after it, both + 8.
  std::vector<uint8_t> pairs() const {
    std::vector<uint8_t> bytes;
    const size_t half = static_cast<size_t>(block_rows) * 2;
    for (size_t block = 0; block < values.size(); block += 2 * half) {
      for (size_t i = block; i < block + half; ++i) {
        bytes.push_back(static_cast<uint8_t>((values[i] + 8) | (values[i + half] + 8) << 4));
      }
    }
    return bytes;
  }

  std::vector<int32_t> row_sums() const {
    std::vector<int32_t> sums(static_cast<size_t>(n), 0);
    for (size_t at = 0; at < dense.size(); ++at) sums[at / static_cast<size_t>(k)] += dense[at];
    return sums;
  }

  // Runs body(context, scales, epilogue).
  template <typename Body>
  void with_epilogue(Body&& body) const {
    Context context;
    const F32 scale({static_cast<int64_t>(scales.size())}, scales), offset({static_cast<int64_t>(bias.size())}, bias),
        added({residual.empty() ? 0 : m, n}, residual);
    const tersor_epilogue epilogue{bias.empty() ? nullptr : static_cast<const tersor_tensor*>(offset), activation,
                                   residual.empty() ? nullptr : static_cast<const tersor_tensor*>(added)};
    body(&context, scale, &epilogue);
  }

  // With x of any kind; `codes` null: dynamic.
  std::vector<float> run(BlockInt8Kernel* kernel, const tersor_tensor* from, const tersor_int8_codes* codes) const {
    const U32 where({static_cast<int64_t>(offsets.size())}, offsets),
        which({static_cast<int64_t>(columns.size())}, columns);
    const Typed<int8_t> numbers({static_cast<int64_t>(values.size())}, values);
    const auto halves = bits == 4 ? pairs() : std::vector<uint8_t>();
    const Typed<uint8_t> short_numbers({static_cast<int64_t>(halves.size())}, halves);
    const I32 sums({n}, row_sums());
    const F32 y({m, n});
    const auto view = [](const tersor_tensor* tensor) { return *tensor; };
    const tersor_tensor held = bits == 4 ? view(short_numbers) : view(numbers);
    const tersor_blocks w{view(where), view(which), held, n, k, static_cast<int32_t>(block_rows), 4};
    with_epilogue([&](auto* context, const F32& scale, auto* epilogue) {
      REQUIRE(block_gemm_int8_with(kernel, context, from, &w, codes, scale, sums, epilogue, y) == TERSOR_OK);
    });
    return y.values();
  }

  // By the contract: an exact sum, then f32 in its order.
  std::vector<float> expected() const {
    std::vector<float> y;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        int64_t sum = 0;
        for (int64_t p = 0; p < k; ++p) {
          const int64_t code = x[static_cast<size_t>(i * k + p)] - int64_t{input.zero_point};
          sum += code * dense[static_cast<size_t>(j * k + p)];
        }
        float value = static_cast<float>(sum) * (input.scale * scales[scales.size() == 1 ? 0 : static_cast<size_t>(j)]);
        if (!bias.empty()) value = value + bias[static_cast<size_t>(j)];
        if (activation == TERSOR_RELU && value < 0) value = 0;
        if (!residual.empty()) value = value + residual[static_cast<size_t>(i * n + j)];
        y.push_back(value);
      }
    }
    return y;
  }
};

void check_every_kernel(const Problem& problem) {
  const std::vector<float> expected = problem.expected();
  const Typed<uint8_t> x({problem.m, problem.k}, problem.x);
  for_each_kernel(block_gemm_int8_kernels, [&](const std::string& isa, BlockInt8Kernel* kernel) {
    const std::string what = isa + problem.name();
    const auto y = same_for_any_thread_count(what, [&] { return problem.run(kernel, x, &problem.input); });
    check_same_bits(what, y, expected);
  });
}

// What the dense operations give for the same weight and x.
std::vector<float> dense_product(const Problem& problem, const tersor_tensor* x, const tersor_int8_codes* codes) {
  Context packing;
  const Typed<int8_t> w({problem.n, problem.k}, problem.dense);
  const Typed<uint8_t> packed({cpu::int8_bytes(problem.n, problem.k)});
  REQUIRE(cpu::pack_int8(&packing, w, packed) == TERSOR_OK);
  const tersor_int8_weight view{*static_cast<const tersor_tensor*>(packed), problem.n, problem.k};
  const F32 y({problem.m, problem.n});
  problem.with_epilogue([&](auto* context, const F32& scale, auto* epilogue) {
    REQUIRE(cpu::gemm_int8(context, x, &view, codes, scale, epilogue, nullptr, y) == TERSOR_OK);
  });
  return y.values();
}

TEST_CASE("block_gemm_int8 gives the bits of the exact sum on every ISA, for every tile and tail") {
  uint32_t seed = 1;
  for (const int64_t block : {32, 16}) {
    for (const int64_t m : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130}) {
      for (const int64_t n : {0, 1, 32, 50}) {
        for (const int64_t k : {0, 1, 6, 64, 131}) {
          for (const double density : {0.0, 0.3, 1.0}) {
            check_every_kernel(Problem(seed++, block, m, n, k, density));
            check_every_kernel(Problem(seed++, block, m, n, k, density, 4));
          }
        }
      }
    }
  }
}

TEST_CASE("block_gemm_int8 of random shapes, more blocks than a step, more panels than a chunk") {
  Random random(3);
  for (uint32_t round = 0; round < 40; ++round) {
    check_every_kernel(Problem(round, round % 2 == 0 ? 32 : 16, random.integer(1, 40), random.integer(1, 200),
                               random.integer(1, 1500), random.uniform(0, 1), round % 3 == 0 ? 4 : 8));
  }
  check_every_kernel(Problem(1, 32, 17, 1000, 700, 0.5));
}

TEST_CASE("block_gemm_int8 does not saturate at the largest products, up to the longest sum it takes") {
  for (const int8_t weight : {int8_t{-128}, int8_t{127}}) {
    for (const int32_t zero_point : {0, 255}) {
      Problem problem(2, 32, 2, 3, TERSOR_LONGEST_INT8_SUM, 1);
      problem.input.zero_point = zero_point;
      std::fill(problem.x.begin(), problem.x.end(), uint8_t{255});
      std::fill(problem.x.begin(), problem.x.begin() + problem.k, uint8_t{0});
      std::fill(problem.dense.begin(), problem.dense.end(), weight);
      std::fill(problem.values.begin(), problem.values.end(), weight);
      check_every_kernel(problem);
    }
  }
}

TEST_CASE("block_gemm_int8 takes x as gemm_int8 does, and gives its bits") {
  for (uint32_t seed = 0; seed < 12; ++seed) {
    Problem problem(seed, seed % 2 == 0 ? 32 : 16, 11, 70, 600 + seed, 0.4, seed % 3 == 0 ? 4 : 8);
    problem.input = {0.25f, 57};
    auto floats = uniform(problem.m * problem.k, seed, -80, 80);
    for (size_t i = 0; i < floats.size(); i += 3) floats[i] = std::round(floats[i]) / 8;  // many halves of steps
    for (int64_t j = 0; j < problem.k; ++j) floats[static_cast<size_t>(j)] = 0;           // a row without a range
    const F32 x({problem.m, problem.k}, floats);
    std::vector<int8_t> moved;
    for (const uint8_t code : problem.x) moved.push_back(static_cast<int8_t>(code - 128));
    const Typed<int8_t> codes({problem.m, problem.k}, moved);
    const tersor_int8_codes signed_input{0.5f, -3};
    const auto fixed = dense_product(problem, x, &problem.input), dynamic = dense_product(problem, x, nullptr),
               from_codes = dense_product(problem, codes, &signed_input);
    for_each_kernel(block_gemm_int8_kernels, [&](const std::string& isa, BlockInt8Kernel* kernel) {
      check_same_bits(isa + " static", problem.run(kernel, x, &problem.input), fixed);
      check_same_bits(isa + " codes i8", problem.run(kernel, codes, &signed_input), from_codes);
      check_same_bits(isa + " dynamic", problem.run(kernel, x, nullptr), dynamic);
      same_for_any_thread_count(isa + " dynamic", [&] { return problem.run(kernel, x, nullptr); });
    });
  }
}

TEST_CASE("block_gemm_int8, dynamic: a row with NaN or infinity is NaN, the others do not change") {
  const Problem problem(8, 32, 11, 50, 70, 0.5);
  const auto floats = uniform(problem.m * problem.k, 6);
  for_each_kernel(block_gemm_int8_kernels, [&](const std::string& isa, BlockInt8Kernel* kernel) {
    const auto clean = problem.run(kernel, F32({problem.m, problem.k}, floats), nullptr);
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      auto spoiled = floats;
      spoiled[2 * 70 + 69] = bad;
      const auto y = problem.run(kernel, F32({problem.m, problem.k}, spoiled), nullptr);
      for (size_t at = 0; at < y.size(); ++at) {
        if (at / 50 == 2) {
          CHECK(std::isnan(y[at]));
        } else if (y[at] != clean[at]) {
          FAIL_CHECK(isa << ": expected " << clean[at] << ", got " << y[at] << ", at element " << at);
        }
      }
    }
  });
}

TEST_CASE("block_gemm_int8 refuses what cannot be") {
  Context context;
  const Typed<int8_t> values({64}, std::vector<int8_t>(64, 1));
  const I32 sums({16}, std::vector<int32_t>(16, 4));
  const F32 scale({1}, {1}), y({1, 16});
  const auto refused = [&](const tersor_tensor* x, int64_t k, uint32_t column, const tersor_int8_codes& input) {
    const U32 offsets({2}, {0, 1}), columns({1}, {column});
    const auto view = [](const tersor_tensor* tensor) { return *tensor; };
    const tersor_blocks w{view(offsets), view(columns), view(values), 16, k, 16, 4};
    return cpu::block_gemm_int8(&context, x, &w, &input, scale, sums, nullptr, y);
  };
  const std::vector<float> row = {1, 2, NAN, 4, 5, 6};
  const F32 x({1, 6}, row);
  CHECK(refused(x, 6, 0, {1, 3}) == TERSOR_NOT_FINITE);
  CHECK(std::string(context.message) == "expected finite values, got nan, at x[0, 2]");
  CHECK(refused(x, 6, 2, {1, 3}) == TERSOR_OUT_OF_RANGE);
  CHECK(std::string(context.message) == "expected a block column in [0, 2), got 2, at columns[0]");
  CHECK(refused(x, 6, 0, {1, 256}) == TERSOR_OUT_OF_RANGE);
  CHECK(std::string(context.message) == "expected a zero point in 0..255, got 256, at input of block_gemm_int8");
  CHECK(refused(x, 6, 0, {0, 3}) == TERSOR_INVALID_ARGUMENT);
  const F32 long_x({1, TERSOR_LONGEST_INT8_SUM + 1});
  CHECK(refused(long_x, TERSOR_LONGEST_INT8_SUM + 1, 0, {1, 3}) == TERSOR_INVALID_SHAPE);
  context.flag = 1;
  const Typed<uint8_t> codes({1, 6}, {1, 2, 3, 4, 5, 6});
  CHECK(refused(codes, 6, 0, {1, 3}) == TERSOR_CANCELLED);
}

}  // namespace
}  // namespace tersor::test
