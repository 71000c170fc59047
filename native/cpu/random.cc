// Random tensors. Position p = offset + i of a stream takes word p % 4 of Philox block p / 4, whatever tensor or thread
// asks.
#include <cmath>
#include <numbers>

#include "backend/fail.h"
#include "core/philox.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

constexpr int64_t kDrawsPerChunk = 1 << 13;

// Third counter word: uniform and normal draws of one seed are independent. The fourth keeps clear of the streams that
// lib/random.ts opens (they leave it 0).
enum class Draw : uint32_t { uniform = 0, normal = 1 };
constexpr uint32_t kTensorStreams = 1;

PhiloxBlock block_at(uint64_t seed, uint64_t block, Draw draw) {
  return philox4x32(
      {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), static_cast<uint32_t>(draw), kTensorStreams},
      static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}

// Calls write(i, block, word) for every element i.
template <typename Write>
tersor_status draw_elements(tersor_context* context, uint64_t seed, uint64_t offset, Draw draw, const tersor_tensor* y,
                            Write&& write) {
  return for_chunks(context, elements_of(y), kDrawsPerChunk, [&](int64_t begin, int64_t end) {
    PhiloxBlock block{};
    for (int64_t i = begin; i < end; ++i) {
      const uint64_t position = offset + static_cast<uint64_t>(i);
      if (i == begin || position % 4 == 0) block = block_at(seed, position / 4, draw);
      write(i, block, static_cast<int>(position % 4));
    }
  });
}

// Box & Muller 1958: words 0, 1 of a block make two normal numbers, words 2, 3 two more.
double box_muller(const PhiloxBlock& block, int word) {
  const double radius_draw = (block[word & 2] + 0.5) * 0x1p-32;  // in (0, 1): the logarithm is finite
  const double angle = 2 * std::numbers::pi * (block[(word & 2) + 1] * 0x1p-32);
  const double radius = std::sqrt(-2 * std::log(radius_draw));
  return radius * ((word & 1) == 0 ? std::cos(angle) : std::sin(angle));
}

}  // namespace

tersor_status random_uniform(tersor_context* context, uint64_t seed, uint64_t offset, float low, float high,
                             const tersor_tensor* y) {
  if (!std::isfinite(low) || !std::isfinite(high)) {
    return fail(context, TERSOR_NOT_FINITE, "expected finite bounds, got %g and %g, at random_uniform", low, high);
  }
  if (low > high) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected low <= high, got %g and %g, at random_uniform", low, high);
  }
  const double width = static_cast<double>(high) - low;
  const float largest = low < high ? std::nextafter(high, low) : low;
  auto* out = data_of<float>(y);
  return draw_elements(context, seed, offset, Draw::uniform, y, [=](int64_t i, const PhiloxBlock& block, int word) {
    const double unit = (block[word] >> 8) * 0x1p-24;
    const auto value = static_cast<float>(low + width * unit);
    out[i] = value < high ? value : largest;  // rounding to float may reach `high`
  });
}

tersor_status random_normal(tersor_context* context, uint64_t seed, uint64_t offset, float mean, float deviation,
                            const tersor_tensor* y) {
  if (!std::isfinite(mean) || !std::isfinite(deviation)) {
    return fail(context, TERSOR_NOT_FINITE, "expected a finite mean and deviation, got %g and %g, at random_normal",
                mean, deviation);
  }
  if (deviation < 0) {
    return fail(context, TERSOR_INVALID_ARGUMENT, "expected a deviation >= 0, got %g, at random_normal", deviation);
  }
  auto* out = data_of<float>(y);
  return draw_elements(context, seed, offset, Draw::normal, y, [=](int64_t i, const PhiloxBlock& block, int word) {
    out[i] = static_cast<float>(mean + deviation * box_muller(block, word));
  });
}

}  // namespace tersor::cpu
