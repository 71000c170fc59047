#include <limits>
#include <string>

#include "cpu/operations.h"
#include "typed.h"

namespace tersor::test {
namespace {

float threshold_of(const std::vector<float>& values, int64_t count) {
  Context context;
  const F32 x({static_cast<int64_t>(values.size())}, values), threshold({1});
  REQUIRE(cpu::magnitude_threshold(&context, x, count, threshold) == TERSOR_OK);
  return threshold[0];
}

}  // namespace

TEST_CASE("magnitude_mask: textbook pruning at 0.2 drops a weight equal to it") {
  Context context;
  const F32 w({3, 3}, {0.9f, 0.1f, 0.2f, 0.4f, 0.6f, 0.8f, 0.1f, 0.9f, 0.5f}), mask({3, 3});
  REQUIRE(cpu::magnitude_mask(&context, w, 0.2f, mask) == TERSOR_OK);
  check_same_bits("mask", mask.values(), {1, 0, 0, 1, 1, 1, 0, 1, 1});
}

TEST_CASE("magnitude_mask: signs do not matter, NaN goes, a threshold of NaN is refused") {
  Context context;
  const float nan = std::nanf("");
  const F32 w({5}, {-1.0f, 1.0f, -0.1f, nan, -0.0f}), mask({5});
  REQUIRE(cpu::magnitude_mask(&context, w, 0.5f, mask) == TERSOR_OK);
  check_same_bits("mask", mask.values(), {1, 1, 0, 0, 0});
  CHECK(cpu::magnitude_mask(&context, w, nan, mask) == TERSOR_INVALID_ARGUMENT);
}

TEST_CASE("magnitude_threshold: every count of a textbook matrix") {
  const std::vector<float> w = {0.9f, -0.1f, 0.2f, 0.4f, -0.6f, 0.8f, 0.1f, 0.9f, 0.5f};
  const float sorted[] = {0.1f, 0.1f, 0.2f, 0.4f, 0.5f, 0.6f, 0.8f, 0.9f, 0.9f};
  for (int64_t count = 1; count <= 9; ++count) CHECK(threshold_of(w, count) == sorted[count - 1]);
}

TEST_CASE("magnitude_threshold: against a sort, on magnitudes of every size and on ties") {
  Random random(81);
  for (const int64_t size : {1, 2, 100, 5000}) {
    std::vector<float> values(static_cast<size_t>(size));
    for (float& v : values) v = static_cast<float>(random.uniform(-1, 1) * std::exp2(random.uniform(-140, 120)));
    for (size_t i = 0; i < values.size() / 4; ++i) values[i] = i % 2 == 0 ? 0.0f : -0.25f;
    std::vector<float> sorted(values);
    for (float& v : sorted) v = std::fabs(v);
    std::sort(sorted.begin(), sorted.end());
    for (const int64_t count : {int64_t{1}, (size + 1) / 2, size * 4 / 5 + 1, size}) {
      if (count > size) continue;
      CAPTURE(size);
      CAPTURE(count);
      CHECK(threshold_of(values, count) == sorted[static_cast<size_t>(count - 1)]);
    }
  }
}

TEST_CASE("magnitude_threshold and magnitude_mask: 80 % of distinct weights go, to the element") {
  Context context;
  const int64_t size = 100352;
  std::vector<float> values(static_cast<size_t>(size));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 7919 % values.size() + 1) * 1e-5f;
  const F32 x({784, 128}, values), threshold({1}), mask({784, 128});
  const int64_t count = size * 8 / 10;
  REQUIRE(cpu::magnitude_threshold(&context, x, count, threshold) == TERSOR_OK);
  REQUIRE(cpu::magnitude_mask(&context, x, threshold[0], mask) == TERSOR_OK);
  int64_t kept = 0;
  for (const float m : mask.values()) kept += m != 0;
  CHECK(kept == size - count);
}

TEST_CASE("magnitude_threshold: counts outside the tensor and NaN are named") {
  Context context;
  const F32 x({4}, {1, 2, std::nanf(""), 4}), threshold({1}), none({0});
  CHECK(cpu::magnitude_threshold(&context, x, 0, threshold) == TERSOR_OUT_OF_RANGE);
  CHECK(cpu::magnitude_threshold(&context, x, 5, threshold) == TERSOR_OUT_OF_RANGE);
  CHECK(std::string(context.message) == "expected a count in [1, 4], got 5");
  CHECK(cpu::magnitude_threshold(&context, x, 1, threshold) == TERSOR_NOT_FINITE);
  CHECK(std::string(context.message) == "expected numbers, got nan, at x[2]");
  CHECK(cpu::magnitude_threshold(&context, none, 1, threshold) == TERSOR_OUT_OF_RANGE);
}

TEST_CASE("magnitude_threshold: infinity is the largest magnitude") {
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(threshold_of({-infinity, 3.0f, 1.0f}, 2) == 3.0f);
  CHECK(threshold_of({-infinity, 3.0f, 1.0f}, 3) == infinity);
}

}  // namespace tersor::test
