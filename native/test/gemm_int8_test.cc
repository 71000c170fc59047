#include "cpu/gemm/gemm_int8.h"

#include <algorithm>
#include <string>

#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

using cpu::gemm_int8_kernels;
using cpu::gemm_int8_with;
using cpu::Int8DotsKernel;
using cpu::kLongestInt8Sum;

struct Problem {
  int64_t m, n, k;
  std::vector<uint8_t> x;
  std::vector<int8_t> w;
  std::vector<float> scales, bias;
  float input_scale = 0.037f;
  int32_t zero_point = 0;
  tersor_activation activation = TERSOR_IDENTITY;

  Problem(int64_t m_, int64_t n_, int64_t k_, int32_t zero_point_, bool one_scale, bool has_bias)
      : m(m_), n(n_), k(k_), zero_point(zero_point_) {
    x = Random(1).integers<uint8_t>(m * k, 0, 255);
    w = Random(2).integers<int8_t>(n * k, -128, 127);
    scales = Random(3).uniforms<float>(one_scale ? 1 : n, 0.001, 0.1);
    if (has_bias) bias = Random(4).uniforms<float>(n, -1, 1);
  }

  std::vector<int32_t> row_sums() const {
    std::vector<int32_t> sums(static_cast<size_t>(n));
    for (size_t i = 0; i < w.size(); ++i) sums[i / static_cast<size_t>(k)] += w[i];
    return sums;
  }

  // The contract step by step: exact sum, then f32 in its order.
  std::vector<float> expected() const {
    std::vector<float> y;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        int64_t sum = 0;
        for (int64_t p = 0; p < k; ++p) {
          sum += (x[static_cast<size_t>(i * k + p)] - int64_t{zero_point}) * w[static_cast<size_t>(j * k + p)];
        }
        const float factor = input_scale * scales[scales.size() == 1 ? 0 : static_cast<size_t>(j)];
        float value = static_cast<float>(sum) * factor;
        if (!bias.empty()) value = value + bias[static_cast<size_t>(j)];
        y.push_back(activation == TERSOR_RELU && value < 0 ? 0 : value);
      }
    }
    return y;
  }

  std::vector<float> run(Int8DotsKernel* kernel) const {
    const Tensor codes(TERSOR_U8, {m, k}, x), weights(TERSOR_I8, {n, k}, w), y(TERSOR_F32, {m, n});
    const Tensor scale(TERSOR_F32, {static_cast<int64_t>(scales.size())}, scales), sums(TERSOR_I32, {n}, row_sums());
    const Tensor offset(TERSOR_F32, {static_cast<int64_t>(bias.size())}, bias);
    const tersor_int8_epilogue epilogue = {
        .input_scale = input_scale,
        .input_zero_point = zero_point,
        .scales = scale,
        .row_sums = sums,
        .after = {bias.empty() ? nullptr : static_cast<const tersor_tensor*>(offset), activation, nullptr},
    };
    Context context;
    CHECK(gemm_int8_with(kernel, &context, codes, weights, &epilogue, y) == TERSOR_OK);
    return y.values<float>();
  }
};

void check_every_kernel(const Problem& problem) {
  const std::string name = " " + std::to_string(problem.m) + " x " + std::to_string(problem.n) + " x " +
                           std::to_string(problem.k) + ", zero point " + std::to_string(problem.zero_point);
  const std::vector<float> expected = problem.expected();
  for_each_kernel(gemm_int8_kernels, [&](const std::string& isa, Int8DotsKernel* kernel) {
    check_same_bits(isa + name, problem.run(kernel), expected);
  });
}

TEST_CASE("gemm_int8 gives the bits of the exact sum on every ISA, for every tile and tail") {
  int mix = 0;
  for (const int64_t m : {1, 2, 3, 5, 6, 7, 25}) {
    for (const int64_t n : {1, 2, 3, 4, 5, 10, 65}) {
      for (const int64_t k : {1, 2, 15, 16, 17, 63, 64, 65, 100}) {
        Problem problem(m, n, k, mix * 37 % 256, mix % 3 == 0, mix % 2 == 0);
        problem.activation = mix % 5 < 2 ? TERSOR_RELU : TERSOR_IDENTITY;
        check_every_kernel(problem);
        ++mix;
      }
    }
  }
}

TEST_CASE("gemm_int8 of the MLP's shapes and of more than one block of depth") {
  for (const int64_t m : {1, 32, 50}) {
    check_every_kernel(Problem(m, 128, 784, 0, false, true));
    check_every_kernel(Problem(m, 64, 128, 128, false, true));
    check_every_kernel(Problem(m, 10, 64, 3, true, true));
  }
  check_every_kernel(Problem(3, 5, 2100, 255, false, true));
}

TEST_CASE("gemm_int8 does not saturate at the largest products, up to the longest sum it takes") {
  for (const int64_t k : {int64_t{64}, int64_t{1000}, kLongestInt8Sum}) {
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
  for_each_kernel(gemm_int8_kernels, [&](const std::string& isa, Int8DotsKernel* kernel) {
    same_for_any_thread_count(isa + " wide", [&] { return wide.run(kernel); });
    same_for_any_thread_count(isa + " tall", [&] { return tall.run(kernel); });
  });
}

TEST_CASE("gemm_int8 with an empty dimension") {
  check_every_kernel(Problem(3, 5, 0, 9, false, true));
  check_every_kernel(Problem(0, 5, 3, 9, false, true));
  check_every_kernel(Problem(3, 0, 5, 9, true, false));
}

TEST_CASE("gemm_int8 refuses sums that could leave 32 bits and zero points that are no u8") {
  Context context;
  const Tensor x(TERSOR_U8, {1, kLongestInt8Sum + 1}), w(TERSOR_I8, {1, kLongestInt8Sum + 1});
  const Tensor scales(TERSOR_F32, {1}), y(TERSOR_F32, {1, 1}), row_sums(TERSOR_I32, {1});
  tersor_int8_epilogue epilogue = {1, 0, scales, row_sums, {}};
  CHECK(cpu::gemm_int8(&context, x, w, &epilogue, y) == TERSOR_INVALID_SHAPE);
  CHECK(std::string(context.message) ==
        "expected at most 65792 columns (sums are exact in 32 bits), got 65793, at gemm_int8");
  const Tensor short_x(TERSOR_U8, {1, 1}), short_w(TERSOR_I8, {1, 1});
  for (const int32_t zero_point : {-1, 256}) {
    epilogue.input_zero_point = zero_point;
    CHECK(cpu::gemm_int8(&context, short_x, short_w, &epilogue, y) == TERSOR_OUT_OF_RANGE);
  }
}

TEST_CASE("gemm_int8 with row sums that are not the weight's own is wrong, not undefined") {
  Context context;
  const Tensor x(TERSOR_U8, {1, 1}, std::vector<uint8_t>{1}), w(TERSOR_I8, {1, 1}, std::vector<int8_t>{1});
  const Tensor scales(TERSOR_F32, {1}, std::vector<float>{1}), y(TERSOR_F32, {1, 1});
  const Tensor row_sums(TERSOR_I32, {1}, std::vector<int32_t>{INT32_MIN});
  const tersor_int8_epilogue epilogue = {1, 255, scales, row_sums, {}};
  CHECK(cpu::gemm_int8(&context, x, w, &epilogue, y) == TERSOR_OK);
  CHECK(std::isfinite(y.values<float>()[0]));
}

}  // namespace
}  // namespace tersor::test
