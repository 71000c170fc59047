// Batch norm of images against the definition in float64.
#include "cpu/nn/channel_spans.h"
#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

struct Batch {
  int64_t images, channels, height, width;

  Shape shape() const { return {images, channels, height, width}; }
  int64_t size() const { return images * height * width; }
  int64_t channel_of(size_t i) const { return static_cast<int64_t>(i) / (height * width) % channels; }
};

const Batch kBatches[] = {{1, 1, 1, 2}, {2, 3, 1, 1}, {3, 2, 5, 7}, {2, 5, 8, 16}, {1, 2, 33, 65}, {4, 17, 3, 3}};

struct Moments {
  std::vector<double> mean, variance;
};

Moments moments_of(const Batch& b, const std::vector<float>& x) {
  const auto channels = static_cast<size_t>(b.channels);
  Moments m{std::vector<double>(channels), std::vector<double>(channels)};
  const auto size = static_cast<double>(b.size());
  for (size_t i = 0; i < x.size(); ++i)
    m.mean[static_cast<size_t>(b.channel_of(i))] += static_cast<double>(x[i]) / size;
  for (size_t i = 0; i < x.size(); ++i) {
    const auto c = static_cast<size_t>(b.channel_of(i));
    m.variance[c] += (static_cast<double>(x[i]) - m.mean[c]) * (static_cast<double>(x[i]) - m.mean[c]) / size;
  }
  return m;
}

}  // namespace

TEST_CASE("channel_moments: mean and variance of each channel, also beside a large mean") {
  Context context;
  for (const Batch& b : kBatches) {
    CAPTURE(b.width);
    for (const float offset : {0.0f, 1000.0f}) {
      auto x = uniform(count_of(b.shape()), 11);
      for (float& v : x) v += offset;
      const F32 input(b.shape(), x), mean({b.channels}), variance({b.channels});
      REQUIRE(cpu::channel_moments(&context, input, mean, variance) == TERSOR_OK);
      const Moments expected = moments_of(b, x);
      // Sums of at most 1,024 numbers in float; the rounding of a mean of 1,000 is taken back out of the variance.
      check_close("mean", mean.values(), expected.mean, (1 + static_cast<double>(offset)) * 16 * kEpsilon);
      check_close("variance", variance.values(), expected.variance, 64 * kEpsilon);
    }
  }
}

TEST_CASE("batch_norm2d: the definition, with and without weight and bias") {
  Context context;
  for (const Batch& b : kBatches) {
    CAPTURE(b.width);
    const auto x = uniform(count_of(b.shape()), 21);
    const auto m = uniform(b.channels, 22), v = uniform(b.channels, 23, 0.1, 2), w = uniform(b.channels, 24),
               shift = uniform(b.channels, 25);
    const F32 input(b.shape(), x), mean({b.channels}, m), variance({b.channels}, v), weight({b.channels}, w),
        bias({b.channels}, shift), y(b.shape());
    const tersor_tensor *mean_view = mean, *variance_view = variance, *weight_view = weight, *bias_view = bias;
    for (const bool plain : {false, true}) {
      const tersor_batch_norm norm{mean_view, variance_view, plain ? nullptr : weight_view, plain ? nullptr : bias_view,
                                   1e-3f};
      REQUIRE(cpu::batch_norm2d(&context, input, &norm, y) == TERSOR_OK);
      std::vector<double> expected;
      for (size_t i = 0; i < x.size(); ++i) {
        const auto c = static_cast<size_t>(b.channel_of(i));
        const double normal = (static_cast<double>(x[i]) - static_cast<double>(m[c])) /
                              std::sqrt(static_cast<double>(v[c]) + static_cast<double>(1e-3f));
        expected.push_back(plain ? normal : normal * static_cast<double>(w[c]) + static_cast<double>(shift[c]));
      }
      check_close("y", y.values(), expected, 32 * kEpsilon);
    }
  }
}

TEST_CASE("batch_norm2d_gradient: the definition, of the batch's own moments and of constant ones") {
  Context context;
  for (const Batch& b : kBatches) {
    CAPTURE(b.width);
    const auto x = uniform(count_of(b.shape()), 31), dy = uniform(count_of(b.shape()), 32);
    const auto w = uniform(b.channels, 33);
    const F32 input(b.shape(), x), slopes(b.shape(), dy), weight({b.channels}, w), mean({b.channels}),
        variance({b.channels}), dx(b.shape()), dweight({b.channels}), dbias({b.channels});
    REQUIRE(cpu::channel_moments(&context, input, mean, variance) == TERSOR_OK);
    const tersor_tensor *mean_view = mean, *variance_view = variance, *weight_view = weight;
    const tersor_batch_norm norm{mean_view, variance_view, weight_view, nullptr, 0.1f};
    const Moments m = moments_of(b, x);
    const auto channels = static_cast<size_t>(b.channels);
    std::vector<double> sum(channels), product(channels), expected;
    const auto normal = [&](size_t i) {
      const auto c = static_cast<size_t>(b.channel_of(i));
      return (static_cast<double>(x[i]) - m.mean[c]) / std::sqrt(m.variance[c] + 0.1);
    };
    for (size_t i = 0; i < x.size(); ++i) {
      const auto c = static_cast<size_t>(b.channel_of(i));
      sum[c] += static_cast<double>(dy[i]);
      product[c] += static_cast<double>(dy[i]) * normal(i);
    }
    for (const bool of_batch : {true, false}) {
      expected.clear();
      for (size_t i = 0; i < x.size(); ++i) {
        const auto c = static_cast<size_t>(b.channel_of(i));
        const double through = of_batch ? (sum[c] + normal(i) * product[c]) / static_cast<double>(b.size()) : 0;
        expected.push_back(static_cast<double>(w[c]) / std::sqrt(m.variance[c] + 0.1) *
                           (static_cast<double>(dy[i]) - through));
      }
      REQUIRE(cpu::batch_norm2d_gradient(&context, input, &norm, of_batch, slopes, dx, dweight, dbias) == TERSOR_OK);
      // Slopes are at most 1 / sqrt(0.1); sums over a channel lose what each of its numbers may.
      check_close("dx", dx.values(), expected, 256 * kEpsilon);
      check_close("dweight", dweight.values(), product, static_cast<double>(b.size()) * 16 * kEpsilon);
      check_close("dbias", dbias.values(), sum, static_cast<double>(b.size()) * 4 * kEpsilon);
      REQUIRE(cpu::batch_norm2d_gradient(&context, input, &norm, of_batch, slopes, slopes, nullptr, nullptr) ==
              TERSOR_OK);
      check_same_bits("in place, dx alone", slopes.values(), dx.values());
      std::copy(dy.begin(), dy.end(), slopes.data<float>());
    }
  }
}

TEST_CASE("channel kernels: every ISA against float64") {
  for_each_kernel(cpu::channel_kernels, [](const std::string& isa, auto kernel) {
    CAPTURE(isa);
    for (const int64_t count : {0, 1, 7, 16, 31, 1030}) {
      CAPTURE(count);
      const auto x = uniform(count, 41), dy = uniform(count, 42);
      const F32 input({count}, x), slopes({count}, dy), y({count}), dx({count});
      kernel().affine(input.data<float>(), count, 0.25f, 1.5f, -2.0f, y.data<float>());
      kernel().gradient(input.data<float>(), slopes.data<float>(), count, 0.25f, 1.5f, -2.0f, 0.125f, dx.data<float>());
      double sum = 0, squares = 0, product = 0;
      std::vector<double> expected_y, expected_dx;
      for (size_t i = 0; i < x.size(); ++i) {
        const double from_mean = static_cast<double>(x[i]) - 0.25, slope = static_cast<double>(dy[i]);
        sum += static_cast<double>(x[i]);
        squares += from_mean * from_mean;
        product += slope * from_mean;
        expected_y.push_back(from_mean * 1.5 - 2);
        expected_dx.push_back(1.5 * slope - 2 * from_mean + 0.125);
      }
      const double tolerance = (8 + static_cast<double>(count)) * kEpsilon;
      check_close("affine", y.values(), expected_y, 8 * kEpsilon);
      check_close("gradient", dx.values(), expected_dx, 16 * kEpsilon);
      const auto total = kernel().slopes(input.data<float>(), slopes.data<float>(), count, 0.25f);
      CHECK(std::fabs(kernel().sum(input.data<float>(), count) - sum) <= tolerance);
      CHECK(std::fabs(kernel().squares(input.data<float>(), count, 0.25f) - squares) <= 4 * tolerance);
      CHECK(std::fabs(total.product - product) <= 4 * tolerance);
    }
  });
}

TEST_CASE("batch norm: same bits for any thread count") {
  const Batch b{3, 40, 50, 50};
  const auto x = uniform(count_of(b.shape()), 51), dy = uniform(count_of(b.shape()), 52);
  same_for_any_thread_count("dx", [&] {
    Context context;
    const F32 input(b.shape(), x), slopes(b.shape(), dy), mean({b.channels}), variance({b.channels}), dx(b.shape());
    REQUIRE(cpu::channel_moments(&context, input, mean, variance) == TERSOR_OK);
    const tersor_tensor *mean_view = mean, *variance_view = variance;
    const tersor_batch_norm norm{mean_view, variance_view, nullptr, nullptr, 1e-5f};
    REQUIRE(cpu::batch_norm2d_gradient(&context, input, &norm, 1, slopes, dx, nullptr, nullptr) == TERSOR_OK);
    return dx.values();
  });
}

}  // namespace tersor::test
