#include <limits>
#include <numeric>
#include <string>

#include "cpu/operations.h"
#include "cpu/sparse/block_gemm.h"
#include "typed.h"

namespace tersor::test {
namespace {

struct BlockShape {
  int32_t rows, cols;
};

// A random weight [n, k], dense (with zeros) and as blocks, in guarded tensors.
struct BlockWeight {
  std::vector<float> dense;
  std::vector<uint32_t> offsets{0}, columns;
  std::vector<float> values;

  BlockWeight(Random& random, const BlockShape& block, int64_t n, int64_t k, double density)
      : dense(static_cast<size_t>(n * k), 0.0f) {
    for (int64_t row = 0; row < n; row += block.rows) {
      for (int64_t column = 0; column < k; column += block.cols) {
        if (random.uniform(0, 1) >= density) continue;
        columns.push_back(static_cast<uint32_t>(column / block.cols));
        for (int64_t c = column; c < column + block.cols; ++c) {
          for (int64_t r = row; r < row + block.rows; ++r) {
            const auto value = r < n && c < k ? static_cast<float>(random.uniform(-1, 1)) : 0.0f;
            values.push_back(value);
            if (r < n && c < k) dense[static_cast<size_t>(r * k + c)] = value;
          }
        }
      }
      offsets.push_back(static_cast<uint32_t>(columns.size()));
    }
  }
};

struct BlockOperand {
  U32 offsets, columns;
  F32 values;
  tersor_blocks blocks;

  BlockOperand(const std::vector<uint32_t>& row_offsets, const std::vector<uint32_t>& indices,
               const std::vector<float>& numbers, const BlockShape& shape, int64_t n, int64_t k)
      : offsets({static_cast<int64_t>(row_offsets.size())}, row_offsets),
        columns({static_cast<int64_t>(indices.size())}, indices),
        values({static_cast<int64_t>(numbers.size())}, numbers),
        blocks{view(offsets), view(columns), view(values), n, k, shape.rows, shape.cols} {}

 private:
  static tersor_tensor view(const Tensor& tensor) { return *static_cast<const tersor_tensor*>(tensor); }
};

void check_product(const std::string& isa, cpu::BlockKernel* kernel, const BlockShape& block, int64_t m, int64_t n,
                   int64_t k, double density, uint32_t seed) {
  const std::string what = isa + " " + std::to_string(block.rows) + "x" + std::to_string(block.cols) + " " +
                           std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k);
  Random random(seed);
  const BlockWeight w(random, block, n, k, density);
  const auto x = random.uniforms<float>(m * k, -1, 1), bias = random.uniforms<float>(n, -1, 1);
  const bool relu = seed % 2 == 1;
  std::vector<double> expected, tolerance;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = bias[static_cast<size_t>(j)], size = std::fabs(sum);
      for (int64_t c = 0; c < k; ++c) {
        const double term = double{x[static_cast<size_t>(i * k + c)]} * double{w.dense[static_cast<size_t>(j * k + c)]};
        sum += term;
        size += std::fabs(term);
      }
      expected.push_back(relu ? std::max(sum, 0.0) : sum);
      // Any order of summation (Higham 2002, section 3.5).
      tolerance.push_back(1.01 * static_cast<double>(k + 2) * kEpsilon * size);
    }
  }
  const BlockOperand operand(w.offsets, w.columns, w.values, block, n, k);
  const F32 tx({m, k}, x), tb({n}, bias), y({m, n});
  const tersor_epilogue epilogue{tb, relu ? TERSOR_RELU : TERSOR_IDENTITY, nullptr};
  const auto run = [&] {
    Context context;
    REQUIRE(cpu::block_gemm_with(kernel, &context, tx, &operand.blocks, &epilogue, y) == TERSOR_OK);
    return y.values();
  };
  check_close(what, same_for_any_thread_count(what, run), expected, tolerance);
}

constexpr BlockShape kShapes[] = {{32, 1}, {32, 4}, {16, 1}, {16, 4}};

}  // namespace

TEST_CASE("block_gemm: every kernel, block and ragged shape against float64") {
  for_each_kernel(cpu::block_gemm_kernels, [](const std::string& isa, cpu::BlockKernel* kernel) {
    uint32_t seed = 1;
    for (const BlockShape& block : kShapes) {
      for (const int64_t m : {0, 1, 3, 8, 13, 130}) {
        for (const int64_t n : {0, 1, 32, 50}) {
          for (const int64_t k : {0, 1, 6, 131}) {
            for (const double density : {0.0, 0.3, 1.0}) check_product(isa, kernel, block, m, n, k, density, seed++);
          }
        }
      }
    }
  });
}

TEST_CASE("block_gemm: random shapes, more blocks than a step, more panels than a chunk") {
  for_each_kernel(cpu::block_gemm_kernels, [](const std::string& isa, cpu::BlockKernel* kernel) {
    Random random(3);
    for (uint32_t round = 0; round < 40; ++round) {
      const BlockShape& block = kShapes[random.integer(0, 3)];
      check_product(isa, kernel, block, random.integer(1, 40), random.integer(1, 200), random.integer(1, 400),
                    random.uniform(0, 1), round);
    }
    check_product(isa, kernel, {32, 1}, 17, 1000, 700, 0.5, 1);
  });
}

TEST_CASE("block_gemm: NaN in x reaches the rows whose blocks cover its column, and no others") {
  for_each_kernel(cpu::block_gemm_kernels, [](const std::string& isa, cpu::BlockKernel* kernel) {
    CAPTURE(isa);
    // Panel 0 has a block at column 1, panel 1 at column 0; x is NaN at column 1 of its first row.
    const std::vector<float> ones(2 * 16, 1.0f);
    const BlockOperand w({0, 1, 2}, {1, 0}, ones, {16, 1}, 20, 2);
    const F32 x({2, 2}, {3, std::numeric_limits<float>::quiet_NaN(), 5, 7}), y({2, 20});
    Context context;
    REQUIRE(cpu::block_gemm_with(kernel, &context, x, &w.blocks, nullptr, y) == TERSOR_OK);
    for (size_t j = 0; j < 20; ++j) {
      CHECK(std::isnan(y[j]) == (j < 16));
      if (j >= 16) CHECK(y[j] == 3);
      CHECK(y[20 + j] == (j < 16 ? 7 : 5));
    }
  });
}

TEST_CASE("block_gemm: positions that a file may hold and that cannot be") {
  const auto message = [](const std::vector<uint32_t>& offsets, const std::vector<uint32_t>& columns) {
    const std::vector<float> values(columns.size() * 64, 1.0f);
    const BlockOperand w(offsets, columns, values, {16, 4}, 32, 10);
    const F32 x({1, 10}, std::vector<float>(10, 1.0f)), y({1, 32});
    Context context;
    CHECK(cpu::block_gemm(&context, x, &w.blocks, nullptr, y) == TERSOR_OUT_OF_RANGE);
    return std::string(context.message);
  };
  CHECK(message({1, 1, 1}, {0}) == "expected 0, got 1, at panel_offsets[0]");
  CHECK(message({0, 2, 1}, {0, 1}) == "expected an offset in [2, 2], got 1, at panel_offsets[2]");
  CHECK(message({0, 9, 9}, {0}) == "expected an offset in [0, 1], got 9, at panel_offsets[1]");
  CHECK(message({0, 1, 1}, {0, 1}) == "expected 2, the number of blocks, got 1, at panel_offsets[2]");
  CHECK(message({0, 1, 1}, {3}) == "expected a block column in [0, 3), got 3, at columns[0]");
  CHECK(message({0, 2, 2}, {1, 1}) == "expected a block column in [2, 3), got 1, at columns[1]");
}

TEST_CASE("block_mask: the blocks of largest norm, against sorting; equal ones from the upper left") {
  Random random(4);
  for (int round = 0; round < 60; ++round) {
    const auto block_rows = static_cast<int32_t>(random.integer(1, 5)),
               block_cols = static_cast<int32_t>(random.integer(1, 3));
    const int64_t rows = random.integer(1, 20), columns = random.integer(1, 12);
    const auto x = random.integers<float>(rows * columns, -2, 2);  // few values, so that ties are common
    const int64_t down = (rows + block_rows - 1) / block_rows, across = (columns + block_cols - 1) / block_cols;
    const int64_t keep = random.integer(0, down * across);
    std::vector<double> norms(static_cast<size_t>(down * across), 0.0);
    const auto block_of = [&](int64_t i) {
      return static_cast<size_t>(i / columns / block_rows * across + i % columns / block_cols);
    };
    for (int64_t i = 0; i < rows * columns; ++i) norms[block_of(i)] += std::pow(double{x[static_cast<size_t>(i)]}, 2);
    std::vector<size_t> order(norms.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return norms[a] > norms[b]; });
    std::vector<float> kept(norms.size(), 0.0f), expected;
    for (int64_t i = 0; i < keep; ++i) kept[order[static_cast<size_t>(i)]] = 1;
    for (int64_t i = 0; i < rows * columns; ++i) expected.push_back(kept[block_of(i)]);
    const F32 mask({rows, columns});
    Context context;
    REQUIRE(cpu::block_mask(&context, F32({rows, columns}, x), block_rows, block_cols, keep, mask) == TERSOR_OK);
    check_same_bits("block_mask", mask.values(), expected);
  }
}

TEST_CASE("block_mask: NaN, infinity and too many blocks are errors") {
  Context context;
  const F32 mask({2, 3});
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    CHECK(cpu::block_mask(&context, F32({2, 3}, {1, 2, 3, 4, bad, 6}), 2, 1, 1, mask) == TERSOR_NOT_FINITE);
    CHECK(std::string(context.message).ends_with("at x[1, 1]"));
  }
  CHECK(cpu::block_mask(&context, F32({2, 3}, {1, 2, 3, 4, 5, 6}), 2, 1, 4, mask) == TERSOR_OUT_OF_RANGE);
  CHECK(std::string(context.message) == "expected a number of blocks in [0, 3], got 4");
}

}  // namespace tersor::test
