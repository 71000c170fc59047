#include "cpu/linalg/tall.h"

#include "typed.h"

namespace tersor::test {

TEST_CASE("multiply_normal: every kernel, any shape, against float64, same bits on any number of threads") {
  for_each_kernel(cpu::tall_kernels, [](const std::string& isa, cpu::TallKernel* kernel) {
    const cpu::TallKernels& kernels = kernel();
    const int64_t shapes[][3] = {{1, 1, 1}, {7, 5, 1}, {64, 8, 2}, {65, 33, 3}, {700, 20, 5}, {1100, 41, 7}};
    for (const auto& [m, n, vectors] : shapes) {
      const int64_t width = vectors * kernels.vector;
      const auto a = uniform(m * n, 1), x = uniform(n * width, 2);
      const auto z = same_for_any_thread_count(isa, [&] {
        Context context;
        const F32 input({m, n}, a), basis({n, width}, x), out({n, width}), same({n, width}), image({m, width});
        const auto multiply = [&](const F32& result, float* kept) {
          return cpu::multiply_normal(&context, kernels, input.data<float>(), m, n, basis.data<float>(), width,
                                      result.data<float>(), kept);
        };
        CHECK_MESSAGE(multiply(out, nullptr) == TERSOR_OK, context.message);
        CHECK_MESSAGE(multiply(same, image.data<float>()) == TERSOR_OK, context.message);
        check_same_bits("with its image", same.values(), out.values());
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

}  // namespace tersor::test
