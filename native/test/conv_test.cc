// Convolution and its gradients: every kernel of the machine against the plain sums in float64.
#include "cpu/conv/conv.h"

#include <string>

#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

struct Layer {
  int64_t images, channels, height, width, outputs, kernel_height, kernel_width, groups;
  int32_t stride[2], padding[2], dilation[2];

  int64_t out(int axis) const {
    const int64_t size = axis == 0 ? height : width, kernel = axis == 0 ? kernel_height : kernel_width;
    return (size + 2 * padding[axis] - dilation[axis] * (kernel - 1) - 1) / stride[axis] + 1;
  }
  Shape x() const { return {images, channels, height, width}; }
  Shape w() const { return {outputs, channels / groups, kernel_height, kernel_width}; }
  Shape y() const { return {images, outputs, out(0), out(1)}; }
  tersor_convolution options() const {
    return {{stride[0], stride[1]}, {padding[0], padding[1]}, {dilation[0], dilation[1]}, groups};
  }
};

const Layer kLayers[] = {
    {1, 1, 1, 1, 1, 1, 1, 1, {1, 1}, {0, 0}, {1, 1}},     {2, 3, 13, 11, 8, 3, 3, 1, {2, 2}, {1, 1}, {1, 1}},
    {1, 4, 9, 17, 6, 3, 3, 2, {1, 1}, {1, 1}, {1, 1}},    {3, 5, 12, 12, 13, 1, 1, 1, {1, 1}, {0, 0}, {1, 1}},
    {2, 6, 8, 9, 6, 3, 3, 6, {1, 2}, {2, 0}, {1, 1}},     {1, 2, 20, 15, 3, 3, 2, 1, {1, 3}, {0, 4}, {2, 3}},
    {1, 40, 16, 16, 17, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}}, {18, 3, 5, 4, 2, 2, 4, 1, {3, 1}, {1, 3}, {1, 1}},
    {0, 3, 5, 4, 2, 2, 4, 1, {1, 1}, {0, 0}, {1, 1}},     {1, 2, 3, 3, 2, 1, 1, 1, {2, 2}, {5, 0}, {1, 1}},
};

// visit(y, x, w) for every product of elements.
template <typename Visit>
void for_each_product(const Layer& l, Visit&& visit) {
  const int64_t group_channels = l.channels / l.groups, group_outputs = l.outputs / l.groups;
  const int64_t height = l.out(0), width = l.out(1);
  for (int64_t n = 0; n < l.images; ++n) {
    for (int64_t o = 0; o < l.outputs; ++o) {
      for (int64_t p = 0; p < height * width; ++p) {
        for (int64_t k = 0; k < group_channels * l.kernel_height * l.kernel_width; ++k) {
          const int64_t area = l.kernel_height * l.kernel_width, c = k / area;
          const int64_t row = p / width * l.stride[0] - l.padding[0] + k % area / l.kernel_width * l.dilation[0];
          const int64_t column = p % width * l.stride[1] - l.padding[1] + k % l.kernel_width * l.dilation[1];
          if (row < 0 || row >= l.height || column < 0 || column >= l.width) continue;
          const int64_t channel = o / group_outputs * group_channels + c;
          visit(static_cast<size_t>((n * l.outputs + o) * height * width + p),
                static_cast<size_t>(((n * l.channels + channel) * l.height + row) * l.width + column),
                static_cast<size_t>(o * group_channels * area + k));
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("conv2d kernels: values and gradients against float64; strides, padding, dilation, groups") {
  for_each_kernel(cpu::conv_kernels, [](const std::string& isa, auto kernel) {
    CAPTURE(isa);
    for (const Layer& l : kLayers) {
      CAPTURE(l.channels);
      CAPTURE(l.width);
      CAPTURE(l.groups);
      const auto x = uniform(count_of(l.x()), 1), w = uniform(count_of(l.w()), 2), b = uniform(l.outputs, 3);
      const auto dy = uniform(count_of(l.y()), 4);
      const auto area = static_cast<size_t>(l.out(0) * l.out(1));
      std::vector<double> y(dy.size()), dx(x.size(), 0.0), dw(w.size(), 0.0), db(b.size(), 0.0);
      for (size_t i = 0; i < y.size(); ++i) {
        const size_t o = i / area % b.size();
        y[i] = static_cast<double>(b[o]);
        db[o] += static_cast<double>(dy[i]);
      }
      for_each_product(l, [&](size_t yi, size_t xi, size_t wi) {
        const auto d = [](float v) { return static_cast<double>(v); };
        y[yi] += d(x[xi]) * d(w[wi]), dx[xi] += d(w[wi]) * d(dy[yi]), dw[wi] += d(x[xi]) * d(dy[yi]);
      });
      for (double& v : y) v = v < 0 ? 0 : v;

      Context context;
      const tersor_convolution options = l.options();
      const F32 tx(l.x(), x), tw(l.w(), w), tb({l.outputs}, b), tdy(l.y(), dy);
      const F32 ty(l.y()), tdx(l.x()), tdw(l.w()), tdb({l.outputs});
      REQUIRE(cpu::conv2d_by(kernel(), &context, tx, tw, tb, &options, TERSOR_RELU, ty) == TERSOR_OK);
      REQUIRE(cpu::conv2d_gradient_by(kernel(), &context, tx, tw, &options, tdy, tdx, tdw, tdb) == TERSOR_OK);
      // Sums of so many products below 1: one rounding each.
      const auto reads = static_cast<double>(l.w()[1] * l.w()[2] * l.w()[3]),
                 sends = reads * static_cast<double>(l.outputs);
      check_close("y", ty.values(), y, (reads + 2) * kEpsilon * 2);
      check_close("dx", tdx.values(), dx, (sends + 2) * kEpsilon);
      check_close("dw", tdw.values(), dw, (static_cast<double>(l.images) * static_cast<double>(area) + 2) * kEpsilon);
      check_close("dbias", tdb.values(), db,
                  (static_cast<double>(l.images) * static_cast<double>(area) + 2) * kEpsilon);
    }
  });
}

TEST_CASE("conv2d: same bits for any thread count, NaN stays where it is read, cancelled when asked") {
  const Layer l{5, 8, 20, 20, 24, 3, 3, 2, {1, 1}, {1, 1}, {1, 1}};
  const tersor_convolution options = l.options();
  auto x = uniform(count_of(l.x()), 5);
  const auto w = uniform(count_of(l.w()), 6), dy = uniform(count_of(l.y()), 7);
  same_for_any_thread_count("all results", [&] {
    Context context;
    const F32 tx(l.x(), x), tw(l.w(), w), tdy(l.y(), dy), ty(l.y()), tdx(l.x()), tdw(l.w()), tdb({l.outputs});
    REQUIRE(cpu::conv2d(&context, tx, tw, nullptr, &options, TERSOR_SILU, ty) == TERSOR_OK);
    REQUIRE(cpu::conv2d_gradient(&context, tx, tw, &options, tdy, tdx, tdw, tdb) == TERSOR_OK);
    auto all = ty.values();
    for (const F32* t : {&tdx, &tdw, &tdb}) {
      const auto more = t->values();
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  });

  Context context;
  x[0] = std::nanf("");
  const F32 tx(l.x(), x), tw(l.w(), w), ty(l.y());
  REQUIRE(cpu::conv2d(&context, tx, tw, nullptr, &options, TERSOR_IDENTITY, ty) == TERSOR_OK);
  // The corner pixel of channel 0 is read by the 2 x 2 outputs of the first group in that corner.
  const auto y = ty.values();
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t p = i % 400, o = i / 400;
    CHECK(std::isnan(y[i]) == (o < 12 && p / 20 < 2 && p % 20 < 2));
  }
  context.flag = 1;
  CHECK(cpu::conv2d(&context, tx, tw, nullptr, &options, TERSOR_IDENTITY, ty) == TERSOR_CANCELLED);
}

}  // namespace tersor::test
