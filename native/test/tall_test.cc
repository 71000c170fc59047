#include "cpu/linalg/tall.h"

#include <algorithm>
#include <limits>

#include "typed.h"

namespace tersor::test {

TEST_CASE("tall products: every kernel, any shape, against float64, same bits on any number of threads") {
  for_each_kernel(cpu::tall_kernels, [](const std::string& isa, cpu::TallKernel* kernel) {
    const cpu::TallKernels& kernels = kernel();
    const int64_t shapes[][3] = {{1, 1, 1}, {7, 5, 1}, {64, 8, 2}, {65, 33, 3}, {700, 20, 5}, {1100, 41, 7}};
    for (const auto& [m, n, vectors] : shapes) {
      const int64_t width = vectors * kernels.vector;
      const auto a = uniform(m * n, 1), x = uniform(n * width, 2);
      const auto z = same_for_any_thread_count(isa, [&] {
        Context context;
        const F32 input({m, n}, a), basis({n, width}, x), out({n, width}), same({n, width}), image({m, width});
        const cpu::TallMatrix tall(kernels, input.data<float>(), m, n);
        const F32 sums({tall.normal_sums(width)}), alone({m, width});
        const auto multiply = [&](const F32& result, cpu::Columns kept) {
          return tall.multiply_normal(&context, basis.data<float>(), width, result.data<float>(), kept,
                                      sums.data<float>());
        };
        CHECK_MESSAGE(multiply(out, {nullptr, 0}) == TERSOR_OK, context.message);
        // The image as the last columns of a wider matrix, whose other columns stay.
        const F32 wide({m, width + 3}, std::vector<float>(static_cast<size_t>(m * (width + 3)), 7.0f));
        CHECK_MESSAGE(multiply(same, {wide.data<float>() + 3, width + 3}) == TERSOR_OK, context.message);
        check_same_bits("with its image", same.values(), out.values());
        for (int64_t row = 0; row < m; ++row) {
          const float* from = wide.data<float>() + row * (width + 3);
          CHECK(std::all_of(from, from + 3, [](float v) { return v == 7.0f; }));
          std::copy(from + 3, from + 3 + width, image.data<float>() + row * width);
        }
        CHECK_MESSAGE(tall.multiply(&context, basis.data<float>(), width, {alone.data<float>(), width}) == TERSOR_OK,
                      context.message);
        check_same_bits("the image alone", alone.values(), image.values());
        std::vector<double> products(static_cast<size_t>(m * width)), bounds(products.size());
        for (size_t i = 0; i < products.size(); ++i) {
          const auto row = static_cast<int64_t>(i) / width, lane = static_cast<int64_t>(i) % width;
          for (int64_t j = 0; j < n; ++j) {
            const double term =
                static_cast<double>(a[static_cast<size_t>(row * n + j)]) * x[static_cast<size_t>(j * width + lane)];
            products[i] += term, bounds[i] += static_cast<double>(n + 1) * kEpsilon * std::fabs(term);
          }
        }
        check_close("image", image.values(), products, bounds);
        return out.values();
      });
      std::vector<double> expected(z.size(), 0.0), tolerance(z.size(), 0.0);
      for (int64_t row = 0; row < m; ++row) {
        for (int64_t lane = 0; lane < width; ++lane) {
          double y = 0, sizes = 0;
          for (int64_t j = 0; j < n; ++j) {
            const double term =
                static_cast<double>(a[static_cast<size_t>(row * n + j)]) * x[static_cast<size_t>(j * width + lane)];
            y += term, sizes += std::fabs(term);
          }
          for (int64_t j = 0; j < n; ++j) {
            const auto at = static_cast<size_t>(j * width + lane);
            const double factor = a[static_cast<size_t>(row * n + j)];
            expected[at] += factor * y;
            // Two sums, of n and of m terms.
            tolerance[at] += static_cast<double>(n + m + 2) * kEpsilon * std::fabs(factor) * sizes;
          }
        }
      }
      check_close(isa, z, expected, tolerance);
    }
  });
}

TEST_CASE("sketch: a^T by random signs, 8 of them in every row and one of each group of rows in every column") {
  for_each_kernel(cpu::tall_kernels, [](const std::string& isa, cpu::TallKernel* kernel) {
    const auto sketch = [&](const std::vector<float>& a, int64_t m, int64_t n, int64_t width, uint64_t seed) {
      return same_for_any_thread_count(isa, [&] {
        Context context;
        const F32 input({m, n}, a), out({n, width}), sums({n, width});
        const cpu::TallMatrix tall(kernel(), input.data<float>(), m, n);
        CHECK_MESSAGE(tall.sketch(&context, seed, width, out.data<float>(), sums.data<float>()) == TERSOR_OK,
                      context.message);
        return out.values();
      });
    };
    const int64_t shapes[][3] = {{1, 1, 8}, {9, 5, 8}, {64, 130, 16}, {65, 300, 80}, {211, 41, 32}};
    for (const auto& [m, n, width] : shapes) {
      CAPTURE(isa);
      CAPTURE(m);
      std::vector<float> identity(static_cast<size_t>(m * m), 0.0f);
      for (int64_t i = 0; i < m; ++i) identity[static_cast<size_t>(i * m + i)] = 1.0f;
      const auto signs = sketch(identity, m, m, width, 3);
      const auto sign = [&](int64_t row, int64_t column) { return signs[static_cast<size_t>(row * width + column)]; };
      for (int64_t row = 0; row < m; ++row) {
        int64_t count = 0;
        for (int64_t j = 0; j < width; ++j) {
          CHECK((sign(row, j) == 0.0f || std::fabs(sign(row, j)) == 1.0f));
          count += sign(row, j) != 0.0f ? 1 : 0;
        }
        CHECK(count == 8);
      }
      const int64_t group = width / 8;
      for (int64_t j = 0; j < width; ++j) {
        for (int64_t first = 0; first + group <= m; first += group) {
          int64_t count = 0;
          for (int64_t row = first; row < first + group; ++row) count += sign(row, j) != 0.0f ? 1 : 0;
          CHECK(count == 1);
        }
      }

      auto a = uniform(m * n, 1);
      std::vector<double> expected(static_cast<size_t>(n * width), 0.0), tolerance(expected.size(), 0.0);
      for (int64_t row = 0; row < m; ++row) {
        for (int64_t i = 0; i < n; ++i) {
          for (int64_t j = 0; j < width; ++j) {
            const auto at = static_cast<size_t>(i * width + j);
            const double term = static_cast<double>(sign(row, j)) * a[static_cast<size_t>(row * n + i)];
            expected[at] += term, tolerance[at] += static_cast<double>(m) * kEpsilon * std::fabs(term);
          }
        }
      }
      check_close(isa, sketch(a, m, n, width, 3), expected, tolerance);
      if (m > 1) CHECK(sketch(a, m, n, width, 4) != sketch(a, m, n, width, 3));

      for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        a[static_cast<size_t>((m - 1) * n)] = bad;
        const auto spoilt = sketch(a, m, n, width, 3);
        CHECK(std::count_if(spoilt.begin(), spoilt.end(), [](float v) { return !std::isfinite(v); }) >= 8);
      }
    }
  });
}

}  // namespace tersor::test
