#include <limits>
#include <string>

#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

struct Ranges {
  std::vector<float> low, high;
};

Ranges call(const std::vector<float>& x, int64_t rows, int64_t columns, int64_t group_size, bool shared, int32_t levels,
            bool symmetric) {
  const int64_t groups = (columns + group_size - 1) / group_size;
  const F32 input({rows, columns}, x), low({shared ? 1 : rows, groups}), high({shared ? 1 : rows, groups});
  Context context;
  const tersor_status status = cpu::clip_range(&context, input, group_size, levels, symmetric ? 1 : 0, low, high);
  CHECK_MESSAGE(status == TERSOR_OK, context.message);
  return {low.values(), high.values()};
}

// Sum of squared errors of the codes of a range, by the library's rounding in float64.
double error_of(const std::vector<float>& x, double low, double high, int32_t levels, bool symmetric) {
  const double scale = (symmetric ? 2 * std::max(-low, high) : high - low) / levels;
  double zero = symmetric ? std::ceil(levels / 2.0) : std::nearbyint(-low / scale), sum = 0;
  for (const float v : x) {
    const double code = std::clamp<double>(std::nearbyint(v / scale) + zero, 0, levels);
    const double error = (code - zero) * scale - v;
    sum += error * error;
  }
  return sum;
}

}  // namespace

TEST_CASE("clip_range: no share of the range does better, whatever shares parameters") {
  for (const int32_t levels : {1, 3, 7, 15, 254, 255}) {
    for (const bool symmetric : {false, true}) {
      for (const bool shared : {false, true}) {
        const int64_t rows = 3, columns = 200, group_size = 64, groups = 4;
        auto x = uniform(rows * columns, static_cast<uint32_t>(levels), -1, 0.7);
        for (float& v : x) v = v * v * v;  // long tails, which clipping is for
        const auto range = [&] { return call(x, rows, columns, group_size, shared, levels, symmetric); };
        same_for_any_thread_count("clip_range", [&] { return range().low; });
        const Ranges got = range();
        for (int64_t i = 0; i < (shared ? 1 : rows) * groups; ++i) {
          std::vector<float> members;
          double low = 0, high = 0;
          for (int64_t row = 0; row < rows; ++row) {
            if (!shared && row != i / groups) continue;
            for (int64_t j = i % groups * group_size; j < std::min(columns, (i % groups + 1) * group_size); ++j) {
              members.push_back(x[static_cast<size_t>(row * columns + j)]);
              low = std::min<double>(low, members.back());
              high = std::max<double>(high, members.back());
            }
          }
          if (symmetric) high = std::max(-low, high), low = -high;
          double best = HUGE_VAL;
          for (int share = 16; share <= 64; ++share) {
            best = std::min(best, error_of(members, low * share / 64, high * share / 64, levels, symmetric));
          }
          const auto at = static_cast<size_t>(i);
          const double own = error_of(members, got.low[at], got.high[at], levels, symmetric);
          CAPTURE(levels);
          CAPTURE(symmetric);
          // Choosing in float may take another of nearly equal ranges.
          CHECK(own <= best * 1.001 + 1e-12);
        }
      }
    }
  }
}

TEST_CASE("clip_range: one outlier is given up, values that fit the codes are not") {
  std::vector<float> x(2000);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 16) - 8;
  CHECK(call(x, 1, 2000, 2000, true, 15, false).low.front() == -8);
  CHECK(call(x, 1, 2000, 2000, true, 15, false).high.front() == 7);
  const auto noise = uniform(2000, 4);
  for (size_t i = 0; i < x.size(); ++i) x[i] = noise[i];
  x[77] = 3;
  CHECK(call(x, 1, 2000, 2000, true, 15, true).high.front() < 1.5f);
}

TEST_CASE("clip_range: zeros, values that are not finite, levels out of range, cancellation") {
  const Ranges zeros = call(std::vector<float>(6, 0.0f), 2, 3, 3, false, 15, false);
  CHECK(zeros.low == std::vector<float>{0, 0});
  CHECK(zeros.high == std::vector<float>{0, 0});
  Context context;
  const F32 x({1, 2}, {1, std::numeric_limits<float>::quiet_NaN()}), low({1, 1}), high({1, 1});
  CHECK(cpu::clip_range(&context, x, 2, 15, 0, low, high) == TERSOR_NOT_FINITE);
  CHECK(std::string(context.message).find("at x[0, 1]") != std::string::npos);
  CHECK(cpu::clip_range(&context, x, 2, 0, 0, low, high) == TERSOR_OUT_OF_RANGE);
  CHECK(cpu::clip_range(&context, x, 2, 256, 0, low, high) == TERSOR_OUT_OF_RANGE);
  context.flag = 1;
  const F32 finite({1, 2}, {1, 2});
  CHECK(cpu::clip_range(&context, finite, 2, 15, 0, low, high) == TERSOR_CANCELLED);
}

}  // namespace tersor::test
