// Histogram observers: counts against a plain count in float64, the same however values arrive; ranges against the
// values themselves.
#include "cpu/compress/histogram.h"

#include <limits>
#include <map>
#include <string>

#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

struct Histogram {
  I64 counts{{TERSOR_HISTOGRAM_BINS}};
  I32 grid{{2}};
  F32 range{{2}};

  Histogram() { range[0] = range[1] = std::nanf(""); }
  tersor_histogram view() const {
    return {*static_cast<const tersor_tensor*>(counts), *static_cast<const tersor_tensor*>(grid),
            *static_cast<const tersor_tensor*>(range)};
  }
  tersor_status add(const std::vector<float>& x, cpu::HistogramKernel* kernel = cpu::histogram_kernels.best()) {
    const F32 input({static_cast<int64_t>(x.size())}, x);
    const tersor_histogram self = view();
    return cpu::histogram_add_by(kernel, &context, input, &self);
  }
  std::vector<float> clip(int32_t levels = 255) {
    const F32 out({2});
    const tersor_histogram self = view();
    REQUIRE_MESSAGE(cpu::histogram_clip(&context, &self, levels, out) == TERSOR_OK, context.message);
    return out.values();
  }
  std::vector<float> percentile(double share) {
    const F32 out({2});
    const tersor_histogram self = view();
    REQUIRE_MESSAGE(cpu::histogram_percentile(&context, &self, share, out) == TERSOR_OK, context.message);
    return out.values();
  }
  // The counts that are not 0, by the numbers of their bins.
  std::map<int64_t, int64_t> bins() const {
    std::map<int64_t, int64_t> found;
    for (int64_t i = 0; i < TERSOR_HISTOGRAM_BINS; ++i) {
      if (counts[static_cast<size_t>(i)] != 0) found[grid[1] + i] = counts[static_cast<size_t>(i)];
    }
    return found;
  }

  Context context;
};

// By floor in float64, on the grid that was chosen.
std::map<int64_t, int64_t> expected_bins(const std::vector<float>& x, int exponent) {
  std::map<int64_t, int64_t> bins;
  for (const float v : x) ++bins[static_cast<int64_t>(std::floor(std::ldexp(static_cast<double>(v), -exponent)))];
  return bins;
}

void check_against_plain_count(const std::vector<float>& x, const Histogram& h) {
  CHECK(h.bins() == expected_bins(x, h.grid[0]));
  const double low = std::min(0.0f, *std::min_element(x.begin(), x.end()));
  const double high = std::max(0.0f, *std::max_element(x.begin(), x.end()));
  CHECK(h.range[0] == low);
  CHECK(h.range[1] == high);
  // No narrower power of two would do.
  const auto fits = [&](int exponent) {
    const double places = std::floor(std::ldexp(high, -exponent)) - std::floor(std::ldexp(low, -exponent)) + 1;
    return places <= double{TERSOR_HISTOGRAM_BINS};
  };
  CHECK(fits(h.grid[0]));
  CHECK((h.grid[0] == -126 || !fits(h.grid[0] - 1)));
}

// Long tails on both sides.
std::vector<float> heavy(int64_t count, uint32_t seed, double center = 0.1) {
  Random random(seed);
  std::vector<float> x(static_cast<size_t>(count));
  for (float& v : x) {
    const double u = random.uniform(-1, 1);
    v = static_cast<float>(center + std::pow(u, 7) * 20 + u);
  }
  return x;
}

std::vector<float> sparse(int64_t count, uint32_t seed) {
  auto x = heavy(count, seed);
  for (float& v : x) v = std::max(v, 0.0f);
  return x;
}

// Sum of squared errors of the values themselves, by the library's rounding in float64.
double error_of(const std::vector<float>& x, double low, double high, int32_t levels) {
  const double scale = (high - low) / levels;
  const double zero = std::nearbyint(-low / scale);
  double sum = 0;
  for (const float v : x) {
    const double code = std::clamp<double>(std::nearbyint(v / scale) + zero, 0, levels);
    const double error = (code - zero) * scale - v;
    sum += error * error;
  }
  return sum;
}

}  // namespace

TEST_CASE("histogram kernels: exact counts for any length and range") {
  for_each_kernel(cpu::histogram_kernels, [](const std::string& isa, cpu::HistogramKernel* kernel) {
    CAPTURE(isa);
    Random random(3);
    for (const int64_t count : {1, 2, 63, 64, 65, 257, 1000, 131072, 131073, 300001}) {
      for (const double scale : {1.0, 1e-37, 3e30}) {
        CAPTURE(count);
        CAPTURE(scale);
        const double low = scale * random.uniform(-1, 1), high = scale * random.uniform(-1, 1);
        const auto x = random.uniforms<float>(count, std::min(low, high), std::max(low, high));
        Histogram h;
        REQUIRE(h.add(x, kernel) == TERSOR_OK);
        check_against_plain_count(x, h);
      }
    }
    // Borders of bins, zeros of both signs, and numbers so small that they underflow on the grid.
    std::vector<float> edges{0.0f, -0.0f, 1.0f, -1.0f, 4095.0f, 1e-45f, -1e-45f, 1e-38f, -1e-38f, 0.5f, -0.5f};
    for (int i = -60; i < 60; ++i) edges.push_back(static_cast<float>(i) / 4);
    Histogram h;
    REQUIRE(h.add(edges, kernel) == TERSOR_OK);
    check_against_plain_count(edges, h);
    std::vector<float> largest{-std::numeric_limits<float>::max(), -1e-45f, 0, std::numeric_limits<float>::max()};
    Histogram wide;
    REQUIRE(wide.add(largest, kernel) == TERSOR_OK);
    check_against_plain_count(largest, wide);
  });
}

TEST_CASE("histogram_add: batches in any order give what one call gives, on any number of threads") {
  const auto x = heavy(400'000, 5);
  const auto counted = same_for_any_thread_count("histogram", [&] {
    Histogram h;
    REQUIRE(h.add(x) == TERSOR_OK);
    return h.counts.values();
  });
  for (const bool ascending : {true, false}) {
    auto sorted = x;  // so that the range grows all the time, on one side and then the other
    std::sort(sorted.begin(), sorted.end(),
              [&](float a, float b) { return ascending ? a < b : std::abs(a) < std::abs(b); });
    Histogram h;
    size_t begin = 0;
    for (size_t size = 1; begin < sorted.size(); size = size * 2 + 1) {
      const size_t end = std::min(sorted.size(), begin + size);
      REQUIRE(h.add({sorted.begin() + static_cast<std::ptrdiff_t>(begin),
                     sorted.begin() + static_cast<std::ptrdiff_t>(end)}) == TERSOR_OK);
      begin = end;
    }
    CHECK(h.counts.values() == counted);
    check_against_plain_count(x, h);
  }
  // From one tiny value to the largest: more doublings than there are bins.
  Histogram h;
  const std::vector<float> all{-1e-38f, 1e-38f, 0.0f, 3e38f};
  for (const float v : all) REQUIRE(h.add({v}) == TERSOR_OK);
  check_against_plain_count(all, h);
}

TEST_CASE("histogram_clip: nearly the best range for the values themselves") {
  Random random(9);
  for (const int32_t levels : {15, 127, 255}) {
    for (int kind = 0; kind < 5; ++kind) {
      auto x = kind == 0   ? uniform(30'000, 1, -1, 2)
               : kind == 1 ? heavy(30'000, 2)
               : kind == 2 ? sparse(30'000, 3)
               : kind == 3 ? heavy(30'000, 4, 9)
                           : uniform(30'000, 5, -0.01, 0.02);
      if (kind == 4) x[100] = 900, x[200] = -400;  // two outliers
      Histogram h;
      REQUIRE(h.add(x) == TERSOR_OK);
      const auto clipped = same_for_any_thread_count("histogram_clip", [&] { return h.clip(levels); });
      const double low = h.range[0], high = h.range[1];
      CAPTURE(kind);
      CAPTURE(levels);
      CHECK(clipped[0] >= h.range[0]);
      CHECK(clipped[1] <= h.range[1]);
      CHECK(clipped[0] <= 0);
      CHECK(clipped[1] >= 0);
      double best = HUGE_VAL;
      for (double down = 1; down > 1e-4; down *= 0.88) {
        for (double up = 1; up > 1e-4; up *= 0.88) best = std::min(best, error_of(x, low * down, high * up, levels));
      }
      const double own = error_of(x, clipped[0], clipped[1], levels);
      // How few codes meet the values decides more than how much of the range they cover.
      if (levels > 15) CHECK(own <= best * 1.03);
      CHECK(own <= error_of(x, low, high, levels) * 1.001);
    }
  }
}

TEST_CASE("histogram_percentile: order statistics to the width of a bin, and 0") {
  for (const auto& x : {heavy(50'000, 6), sparse(50'000, 7), uniform(999, 8, 3, 5)}) {
    Histogram h;
    REQUIRE(h.add(x) == TERSOR_OK);
    auto sorted = x;
    std::sort(sorted.begin(), sorted.end());
    const double width = std::ldexp(1.0, h.grid[0]);
    const auto count = static_cast<double>(x.size());
    for (const double percentile : {50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
      CAPTURE(percentile);
      const auto range = h.percentile(percentile);
      // The value with so many below it, by definition within the bin where the count passes the share.
      const auto ranked = [&](double below) {
        const auto rank = static_cast<int64_t>(std::ceil(below - 1e-9 * count)) - 1;
        return static_cast<double>(sorted[static_cast<size_t>(std::clamp<int64_t>(rank, 0, std::ssize(x) - 1))]);
      };
      const double outside = count * (1 - percentile / 100);
      CHECK(std::abs(range[1] - std::max(0.0, ranked(count - outside))) <= width);
      CHECK(std::abs(range[0] - std::min(0.0, ranked(outside))) <= width);
    }
    CHECK(h.percentile(100)[1] == h.range[1]);
    CHECK(h.percentile(100)[0] == h.range[0]);
  }
}

TEST_CASE("histogram: zeros only; nothing, NaN, infinity and a cancelled call are refused and change nothing") {
  Histogram zeros;
  REQUIRE(zeros.add({0, -0.0f, 0}) == TERSOR_OK);
  CHECK(zeros.bins() == std::map<int64_t, int64_t>{{0, 3}});
  CHECK(zeros.clip() == std::vector<float>{0, 0});
  CHECK(zeros.percentile(99) == std::vector<float>{0, 0});

  Histogram h;
  CHECK(h.add({}) == TERSOR_INVALID_SHAPE);
  const tersor_histogram empty = h.view();
  const F32 out({2});
  CHECK(cpu::histogram_clip(&h.context, &empty, 255, out) == TERSOR_INVALID_ARGUMENT);
  CHECK(cpu::histogram_percentile(&h.context, &empty, 99, out) == TERSOR_INVALID_ARGUMENT);
  REQUIRE(h.add({1, 2, -3}) == TERSOR_OK);
  const auto before = h.bins();
  for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    CHECK(h.add({1, bad, 100}) == TERSOR_NOT_FINITE);
    CHECK(std::string(h.context.message).find("at x[0, 1]") != std::string::npos);
  }
  h.context.flag = 1;
  CHECK(h.add({100}) == TERSOR_CANCELLED);
  h.context.flag = 0;
  CHECK(h.bins() == before);
  CHECK(h.range.values() == std::vector<float>{-3, 2});
}

TEST_CASE("histogram: options and histograms that cannot be are refused") {
  Histogram h;
  REQUIRE(h.add({1, 2, -3}) == TERSOR_OK);
  const tersor_histogram view = h.view();
  const F32 out({2});
  for (const int32_t levels : {0, 256}) {
    CHECK(cpu::histogram_clip(&h.context, &view, levels, out) == TERSOR_OUT_OF_RANGE);
  }
  for (const double percentile : {49.9, 100.1, std::numeric_limits<double>::quiet_NaN()}) {
    CHECK(cpu::histogram_percentile(&h.context, &view, percentile, out) == TERSOR_OUT_OF_RANGE);
  }
  const auto refused = [&](auto&& damage) {
    Histogram broken;
    REQUIRE(broken.add({1, 2, -3}) == TERSOR_OK);
    damage(broken);
    const tersor_histogram damaged = broken.view();
    CHECK(cpu::histogram_clip(&broken.context, &damaged, 255, out) == TERSOR_INVALID_ARGUMENT);
    CHECK(cpu::histogram_percentile(&broken.context, &damaged, 99, out) == TERSOR_INVALID_ARGUMENT);
    CHECK(broken.add({1}) == TERSOR_INVALID_ARGUMENT);
  };
  refused([](Histogram& b) { b.grid[0] = 1 << 30; });
  refused([](Histogram& b) { b.grid[1] = -(1 << 30); });
  refused([](Histogram& b) { b.counts[7] = -1; });
  refused([](Histogram& b) { b.counts[7] = b.counts[8] = std::numeric_limits<int64_t>::max(); });
  refused([](Histogram& b) { b.range[1] = HUGE_VALF; });
  refused([](Histogram& b) { b.range[0] = 1; });
}

}  // namespace tersor::test
