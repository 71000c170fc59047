#include <array>
#include <bit>
#include <cmath>

#include "cpu/map.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

constexpr uint32_t kInfinity = 0x7f800000u;

// Bits of |x|; as integers they order like the magnitudes, NaN above infinity.
uint32_t magnitude_bits(float x) { return std::bit_cast<uint32_t>(x) & 0x7fffffffu; }

}  // namespace

// Radix select: three passes, each finding the next 10 or 11 bits of the answer. No copy of x, and O(n) for any input.
tersor_status magnitude_threshold(tersor_context* context, const tersor_tensor* x, int64_t count,
                                  const tersor_tensor* threshold) {
  const auto* px = data_of<const float>(x);
  const int64_t size = elements_of(x);
  if (count < 1 || count > size) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected a count in [1, %lld], got %lld", static_cast<long long>(size),
                static_cast<long long>(count));
  }

  constexpr int kBits[] = {11, 10, 10};
  uint32_t prefix = 0;  // the bits found so far, in place
  int known = 0;        // how many of the 31
  for (const int bits : kBits) {
    const int shift = 31 - known - bits;
    const auto in_prefix = [=](uint32_t m) { return (m ^ prefix) >> (31 - known) == 0; };
    std::array<int64_t, 2048> histogram{};
    for (int64_t begin = 0; begin < size; begin += kGrain) {
      if (is_cancelled(context)) return cancelled(context);
      for (int64_t i = begin; i < std::min(size, begin + kGrain); ++i) {
        const uint32_t m = magnitude_bits(px[i]);
        if (m > kInfinity) {
          return fail(context, TERSOR_NOT_FINITE, "expected numbers, got nan, at x[%lld]", static_cast<long long>(i));
        }
        if (in_prefix(m)) ++histogram[m >> shift & ((1u << bits) - 1)];
      }
    }
    uint32_t digit = 0;
    while (count > histogram[digit]) count -= histogram[digit++];
    prefix |= digit << shift;
    known += bits;
  }
  *data_of<float>(threshold) = std::bit_cast<float>(prefix);
  return TERSOR_OK;
}

tersor_status magnitude_mask(tersor_context* context, const tersor_tensor* x, float threshold,
                             const tersor_tensor* mask) {
  if (std::isnan(threshold)) return fail(context, TERSOR_INVALID_ARGUMENT, "expected a number as threshold, got nan");
  const auto* px = data_of<const float>(x);
  auto* py = data_of<float>(mask);
  return for_chunks(context, elements_of(x), kGrain, [&](int64_t begin, int64_t end) {
    map(
        end - begin, py + begin, [=](float v) { return std::fabs(v) > threshold ? 1.0f : 0.0f; }, px + begin);
  });
}

}  // namespace tersor::cpu
