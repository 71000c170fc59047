// Pooling and its gradients against the definition in float64.
#include <limits>
#include <string>

#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

struct Pool {
  int64_t images, channels, height, width;
  tersor_pooling options;

  int64_t out(int axis) const {
    return ((axis == 0 ? height : width) + 2 * options.padding[axis] - options.kernel[axis]) / options.stride[axis] + 1;
  }
  Shape x() const { return {images, channels, height, width}; }
  Shape y() const { return {images, channels, out(0), out(1)}; }

  // visit(index of y, indices of x in its window, in order)
  template <typename Visit>
  void for_each_window(Visit&& visit) const {
    for (int64_t i = 0; i < count_of(y()); ++i) {
      const int64_t column = i % out(1), row = i / out(1) % out(0), plane = i / out(1) / out(0);
      std::vector<size_t> window;
      for (int64_t a = 0; a < options.kernel[0]; ++a) {
        for (int64_t b = 0; b < options.kernel[1]; ++b) {
          const int64_t p = row * options.stride[0] - options.padding[0] + a;
          const int64_t q = column * options.stride[1] - options.padding[1] + b;
          if (p < 0 || p >= height || q < 0 || q >= width) continue;
          window.push_back(static_cast<size_t>((plane * height + p) * width + q));
        }
      }
      visit(static_cast<size_t>(i), window);
    }
  }
};

std::vector<Pool> pools(tersor_pool_mode mode) {
  return {{1, 1, 1, 1, {mode, {1, 1}, {1, 1}, {0, 0}, 0}},  {2, 3, 8, 6, {mode, {2, 2}, {2, 2}, {0, 0}, 0}},
          {1, 2, 7, 9, {mode, {3, 2}, {2, 3}, {1, 1}, 1}},  {1, 2, 7, 9, {mode, {3, 2}, {2, 3}, {2, 0}, 0}},
          {3, 4, 5, 40, {mode, {3, 3}, {1, 1}, {1, 1}, 1}}, {1, 1, 2, 3, {mode, {4, 5}, {1, 2}, {3, 4}, 0}},
          {0, 4, 5, 4, {mode, {3, 3}, {1, 1}, {1, 1}, 1}}};
}

}  // namespace

TEST_CASE("pool2d: maxima and means, and where their gradients go") {
  for (const tersor_pool_mode mode : {TERSOR_POOL_MAX, TERSOR_POOL_MEAN}) {
    for (const Pool& p : pools(mode)) {
      CAPTURE(p.height);
      CAPTURE(p.width);
      auto x = uniform(count_of(p.x()), 1);
      for (float& v : x) v = std::nearbyint(v * 4) / 4;  // often equal
      const auto dy = uniform(count_of(p.y()), 2);
      std::vector<double> y(dy.size()), dx(x.size(), 0.0), reads(x.size(), 1.0);
      p.for_each_window([&](size_t i, const std::vector<size_t>& window) {
        REQUIRE(!window.empty());
        if (mode == TERSOR_POOL_MAX) {
          const size_t at =
              *std::max_element(window.begin(), window.end(), [&](size_t a, size_t b) { return x[a] < x[b]; });
          y[i] = x[at], dx[at] += dy[i], ++reads[at];
          return;
        }
        const double divisor = p.options.count_padding != 0 ? p.options.kernel[0] * p.options.kernel[1]
                                                            : static_cast<double>(window.size());
        for (const size_t at : window) y[i] += x[at] / divisor, dx[at] += dy[i] / divisor, ++reads[at];
      });
      Context context;
      const F32 tx(p.x(), x), tdy(p.y(), dy), ty(p.y()), tdx(p.x());
      REQUIRE(cpu::pool2d(&context, tx, &p.options, ty) == TERSOR_OK);
      REQUIRE(cpu::pool2d_gradient(&context, tx, &p.options, tdy, tdx) == TERSOR_OK);
      check_close("y", ty.values(), y, mode == TERSOR_POOL_MAX ? 0x1p-149 : kEpsilon);
      std::vector<double> tolerance(reads.size());
      for (size_t i = 0; i < reads.size(); ++i) tolerance[i] = 2 * reads[i] * reads[i] * kEpsilon;
      check_close("dx", tdx.values(), dx, tolerance);
    }
  }
}

TEST_CASE("pool2d: NaN and infinities in a window, any number of threads, cancellation") {
  const float nan = std::nanf(""), infinity = HUGE_VALF;
  const Pool p{1, 1, 2, 6, {TERSOR_POOL_MAX, {2, 2}, {2, 2}, {0, 0}, 0}};
  const std::vector<float> x{1, nan, -infinity, -infinity, 2, infinity, nan, 5, -infinity, -infinity, 3, 4};
  Context context;
  const F32 tx(p.x(), x), ty(p.y()), tdy(p.y(), std::vector<float>{1, 1, 1}), tdx(p.x());
  REQUIRE(cpu::pool2d(&context, tx, &p.options, ty) == TERSOR_OK);
  CHECK(std::isnan(ty[0]));
  CHECK(ty[1] == -infinity);
  CHECK(ty[2] == infinity);
  REQUIRE(cpu::pool2d_gradient(&context, tx, &p.options, tdy, tdx) == TERSOR_OK);
  CHECK(tdx.values() == std::vector<float>{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0});

  for (const tersor_pool_mode mode : {TERSOR_POOL_MAX, TERSOR_POOL_MEAN}) {
    const Pool wide{4, 30, 33, 31, {mode, {3, 3}, {2, 2}, {1, 1}, 1}};
    const F32 input(wide.x(), uniform(count_of(wide.x()), 4)), slopes(wide.y(), uniform(count_of(wide.y()), 5));
    same_for_any_thread_count("pool2d", [&] {
      const F32 y(wide.y()), dx(wide.x());
      REQUIRE(cpu::pool2d(&context, input, &wide.options, y) == TERSOR_OK);
      REQUIRE(cpu::pool2d_gradient(&context, input, &wide.options, slopes, dx) == TERSOR_OK);
      auto all = y.values();
      const auto more = dx.values();
      all.insert(all.end(), more.begin(), more.end());
      return all;
    });
    context.flag = 1;
    const F32 y(wide.y()), dx(wide.x());
    CHECK(cpu::pool2d(&context, input, &wide.options, y) == TERSOR_CANCELLED);
    CHECK(cpu::pool2d_gradient(&context, input, &wide.options, slopes, dx) == TERSOR_CANCELLED);
    context.flag = 0;
  }
}

}  // namespace tersor::test
