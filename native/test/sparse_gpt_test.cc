#include "cpu/compress/sparse_gpt.h"

#include <limits>
#include <string>

#include "typed.h"

namespace tersor::test {
namespace {

constexpr float kDamping = 0.01f;

std::vector<float> gram(int64_t tokens, int64_t columns, uint32_t seed) {
  const auto x = Random(seed).uniforms<double>(tokens * columns, -1, 1);
  std::vector<float> h(static_cast<size_t>(columns * columns));
  const auto input = [&](int64_t t, int64_t j) {
    return x[static_cast<size_t>(t * columns)] +
           x[static_cast<size_t>(t * columns + j)] * (1 + static_cast<double>(j % 5));
  };
  for (int64_t i = 0; i < columns; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      double sum = 0;
      for (int64_t t = 0; t < tokens; ++t) sum += input(t, i) * input(t, j);
      h[static_cast<size_t>(i * columns + j)] = static_cast<float>(sum);
    }
  }
  return h;
}

// tr(E H E^T) / tr(W H W^T) in float64.
double error_of(const std::vector<float>& w, const std::vector<float>& y, const std::vector<float>& h, int64_t n) {
  double error = 0, all = 0;
  for (size_t row = 0; row < w.size(); row += static_cast<size_t>(n)) {
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      double e = 0, a = 0;
      for (size_t j = 0; j < static_cast<size_t>(n); ++j) {
        e += static_cast<double>(h[i * static_cast<size_t>(n) + j]) * (static_cast<double>(y[row + j]) - w[row + j]);
        a += static_cast<double>(h[i * static_cast<size_t>(n) + j]) * w[row + j];
      }
      error += e * (static_cast<double>(y[row + i]) - w[row + i]);
      all += a * w[row + i];
    }
  }
  return error / all;
}

std::vector<float> magnitude_pruned(const std::vector<float>& w, double share) {
  std::vector<float> sizes;
  for (const float v : w) sizes.push_back(std::fabs(v));
  std::sort(sizes.begin(), sizes.end());
  const auto count = static_cast<size_t>(std::llround(share * static_cast<double>(w.size())));
  auto pruned = w;
  for (float& v : pruned) v = count > 0 && std::fabs(v) <= sizes[count - 1] ? 0 : v;
  return pruned;
}

std::vector<float> call(cpu::SecondOrderKernel* kernel, const std::vector<float>& w, const std::vector<float>& h,
                        int64_t rows, int64_t columns, const tersor_sparse_gpt_options& options,
                        const tersor_affine* affine = nullptr) {
  Context context;
  const F32 weight({rows, columns}, w), hessian({columns, columns}, h), y({rows, columns});
  const tersor_status status = cpu::sparse_gpt_with(kernel, &context, weight, hessian, &options, affine, y);
  CHECK_MESSAGE(status == TERSOR_OK, context.message);
  return y.values();
}

}  // namespace

TEST_CASE("sparse_gpt: the share that was asked for, at less error than magnitude pruning leaves") {
  for_each_kernel(cpu::second_order_kernels, [](const std::string& isa, cpu::SecondOrderKernel* kernel) {
    const int64_t shapes[][2] = {{1, 1}, {3, 7}, {50, 40}, {97, 300}};
    for (const auto& [rows, columns] : shapes) {
      for (const float sparsity : {0.0f, 0.5f, 0.75f, 1.0f}) {
        CAPTURE(isa);
        CAPTURE(columns);
        CAPTURE(sparsity);
        const auto w = uniform(rows * columns, static_cast<uint32_t>(columns));
        const auto h = gram(columns + 30, columns, 3);
        const tersor_sparse_gpt_options options = {kDamping, sparsity, 0, 0};
        const auto y = same_for_any_thread_count(isa, [&] { return call(kernel, w, h, rows, columns, options); });
        int64_t zeros = 0;
        for (const float v : y) zeros += v == 0 ? 1 : 0;
        int64_t expected = 0;
        for (int64_t begin = 0; begin < columns; begin += 128) {
          expected += std::llround(static_cast<double>(sparsity) *
                                   static_cast<double>(rows * std::min<int64_t>(128, columns - begin)));
        }
        CHECK(zeros == expected);
        if (sparsity == 0) check_same_bits(isa, y, w);
        if (sparsity > 0 && sparsity < 1 && rows > 10) {
          CHECK(error_of(w, y, h, columns) < 0.8 * error_of(w, magnitude_pruned(w, sparsity), h, columns));
        }
      }
    }
  });
}

TEST_CASE("sparse_gpt: patterns hold in every row, ragged ends keep their share at most") {
  for_each_kernel(cpu::second_order_kernels, [](const std::string& isa, cpu::SecondOrderKernel* kernel) {
    for (const auto& [keep, of] : {std::pair{2, 4}, {4, 8}, {1, 3}, {3, 16}, {1, 1}, {1, 200}}) {
      const int64_t rows = 51, columns = 150;
      CAPTURE(isa);
      CAPTURE(of);
      const auto w = uniform(rows * columns, 8);
      const auto h = gram(columns + 30, columns, 4);
      const tersor_sparse_gpt_options options = {kDamping, 0, keep, of};
      const auto y = same_for_any_thread_count(isa, [&] { return call(kernel, w, h, rows, columns, options); });
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t begin = 0; begin < columns; begin += of) {
          const int64_t end = std::min<int64_t>(columns, begin + of);
          int64_t kept = 0;
          for (int64_t j = begin; j < end; ++j) kept += y[static_cast<size_t>(row * columns + j)] != 0 ? 1 : 0;
          REQUIRE(kept == std::min<int64_t>(keep, end - begin));
        }
      }
      if (keep == of) check_same_bits(isa, y, w);
    }
  });
}

TEST_CASE("sparse_gpt: of two inputs the dearer one stays and takes over what the other one did") {
  // h = [[2, 1], [1, 2]], w = [3, 1]. Removing the second leaves the first at 3 + 1 * 1/2; removing the first at first
  // sight costs (3 r)^2 with r^2 = 2 - 1/2 against (1 * sqrt(2))^2 for the second.
  for_each_kernel(cpu::second_order_kernels, [](const std::string& isa, cpu::SecondOrderKernel* kernel) {
    const tersor_sparse_gpt_options options = {0.0f, 0, 1, 2};
    // The first column is compressed first, so it cannot make up for the second: [3, 0].
    check_close(isa, call(kernel, {3, 1}, {2, 1, 1, 2}, 1, 2, options), {3, 0}, 1e-6);
    // The second makes up for the first: 3 + 1/2.
    check_close(isa, call(kernel, {1, 3}, {2, 1, 1, 2}, 1, 2, options), {0, 3.5}, 1e-6);
  });
}

TEST_CASE("sparse_gpt: with an affine, what stays is a value of a code") {
  for_each_kernel(cpu::second_order_kernels, [](const std::string&, cpu::SecondOrderKernel* kernel) {
    const int64_t rows = 60, columns = 90;
    const auto w = uniform(rows * columns, 8);
    const auto h = gram(columns + 30, columns, 4);
    const F32 scales({rows, 1}, uniform(rows, 9, 0.05, 0.2));
    const tersor_affine affine = {scales, nullptr, nullptr, -8, 7, columns};
    const tersor_sparse_gpt_options options = {kDamping, 0, 2, 4};
    const auto y = call(kernel, w, h, rows, columns, options, &affine);
    for (size_t i = 0; i < y.size(); ++i) {
      const float scale = scales[i / static_cast<size_t>(columns)], step = std::nearbyint(y[i] / scale);
      REQUIRE(y[i] == scale * step);
      REQUIRE(step >= -8);
      REQUIRE(step <= 7);
    }
    const double rounded = error_of(w, y, h, columns);
    CHECK(rounded > error_of(w, call(kernel, w, h, rows, columns, options), h, columns));
    CHECK(rounded < 0.5);
  });
}

TEST_CASE("sparse_gpt: what cannot be done is refused") {
  const auto status = [](const tersor_sparse_gpt_options& options, float first = 1) {
    Context context;
    const F32 w({1, 2}, {first, 2}), h({2, 2}, {1, 0, 0, 1}), y({1, 2});
    return cpu::sparse_gpt(&context, w, h, &options, nullptr, y);
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(status({0.01f, 1.5f, 0, 0}) == TERSOR_OUT_OF_RANGE);
  CHECK(status({0.01f, nan, 0, 0}) == TERSOR_OUT_OF_RANGE);
  CHECK(status({0.01f, 0, 3, 2}) == TERSOR_OUT_OF_RANGE);
  CHECK(status({0.01f, 0, 0, 2}) == TERSOR_OUT_OF_RANGE);
  CHECK(status({-1, 0.5f, 0, 0}) == TERSOR_OUT_OF_RANGE);
  CHECK(status({0.01f, 0.5f, 0, 0}, nan) == TERSOR_NOT_FINITE);
  CHECK(status({0.01f, 0.5f, 0, 0}) == TERSOR_OK);
}

}  // namespace tersor::test
