#include "cpu/compress/encode.h"

#include <algorithm>
#include <limits>
#include <string>

#include "typed.h"

namespace tersor::test {
namespace {

using cpu::encode_kernels;
using cpu::EncodeKernel;
using cpu::Encoding;
using cpu::range_kernels;
using cpu::RangeKernel;

// By a division and the C library's nearbyint.
uint8_t code_of(const Encoding& e, float x) {
  const float v = (x - e.bias) / e.scale;
  const double steps = std::nearbyint(std::clamp(v, e.lower, e.upper));
  return static_cast<uint8_t>(static_cast<int32_t>(steps) + e.zero_point);
}

std::vector<uint8_t> codes_of(EncodeKernel* kernel, const Encoding& e, const std::vector<float>& x, bool finite) {
  const F32 from({static_cast<int64_t>(x.size())}, x);
  const Typed<uint8_t> to({static_cast<int64_t>(x.size())});
  CHECK(kernel(e, from.data<float>(), static_cast<int64_t>(x.size()), to.data<uint8_t>()) == finite);
  return to.values();
}

void check_every_kernel(const Encoding& e, const std::vector<float>& x, const std::string& what) {
  std::vector<uint8_t> expected;
  for (const float value : x) expected.push_back(code_of(e, value));
  for_each_kernel(encode_kernels, [&](const std::string& isa, EncodeKernel* kernel) {
    check_same_bits(isa + " " + what, codes_of(kernel, e, x, true), expected);
  });
}

TEST_CASE("encode gives the codes of a division wherever they could differ from those of a product") {
  Random random(31);
  for (int round = 0; round < 300; ++round) {
    const auto zero = static_cast<int32_t>(random.integer(0, 255));
    const auto scale = static_cast<float>(std::exp2(random.uniform(-100, 100)));
    const auto bias = static_cast<float>(round % 3 == 0 ? scale * random.uniform(-9, 9) : 0);
    const Encoding e = {scale, bias, static_cast<float>(-zero), static_cast<float>(255 - zero), zero};
    std::vector<float> x;
    for (int64_t i = 0; i < random.integer(0, 300); ++i) {
      const auto steps = static_cast<float>(random.integer(-300, 300));
      // A tie, one of its neighbours, or anything.
      float value = (steps + 0.5f) * scale + bias;
      const int64_t kind = random.integer(0, 3);
      if (kind == 1) value = std::nextafter(value, INFINITY);
      if (kind == 2) value = std::nextafter(value, -INFINITY);
      if (kind == 3) value = static_cast<float>(scale * random.uniform(-300, 300));
      x.push_back(value);
    }
    check_every_kernel(e, x, "round " + std::to_string(round));
  }
}

TEST_CASE("encode of scales whose reciprocal is no normal number, and of zero points far away") {
  const auto x = uniform(150, 8, -3, 3);
  std::vector<float> small, large;
  for (const float value : x) {
    small.push_back(value * 1e-38f);
    large.push_back(value * 1e38f);
  }
  check_every_kernel({1e-40f, 0, 0, 255, 0}, small, "small");
  check_every_kernel({3e38f, 0, -128, 127, 0}, large, "large");
  check_every_kernel({1e-5f, 0, -300000, -299745, 300000}, x, "far");
  check_every_kernel({1, 0, 0, 0, 0}, {-0.0f, 0.0f, std::numeric_limits<float>::denorm_min()}, "zeros");
}

TEST_CASE("encode finds NaN and infinity anywhere") {
  const Encoding e = {0.01f, 0, -128, 127, 0};
  for_each_kernel(encode_kernels, [&](const std::string&, EncodeKernel* kernel) {
    for (const size_t count : {size_t{1}, size_t{17}, size_t{64}, size_t{200}}) {
      for (size_t at = 0; at < count; at += 7) {
        for (const float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
          std::vector<float> x(count, 0.5f);
          x[at] = bad;
          codes_of(kernel, e, x, false);
        }
      }
    }
  });
}

TEST_CASE("range is the smallest and the largest number, 0 among them") {
  for_each_kernel(range_kernels, [&](const std::string& isa, RangeKernel* kernel) {
    CAPTURE(isa);
    for (const int64_t count : {0, 1, 2, 15, 16, 17, 64, 100, 1000}) {
      for (const double low : {-3.0, 0.5, -3e38}) {
        const auto x = uniform(count, static_cast<uint32_t>(count), low, 3);
        float smallest = 0, largest = 0;
        for (const float value : x) {
          smallest = std::min(smallest, value);
          largest = std::max(largest, value);
        }
        const cpu::Range range = kernel(x.data(), count);
        CHECK(range.low == smallest);
        CHECK(range.high == largest);
        CHECK(range.finite);
        for (const float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
          auto spoiled = x;
          if (count > 0) spoiled[static_cast<size_t>(count / 2)] = bad;
          CHECK(kernel(spoiled.data(), count).finite == (count == 0));
        }
      }
    }
  });
}

}  // namespace
}  // namespace tersor::test
