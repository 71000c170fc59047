// The range of codes from a histogram: by percentile, or by the least squared error (as HistogramObserver of PyTorch,
// whose error it computes exactly, and without stopping at the first range that is worse than the one before).
#include <algorithm>
#include <array>
#include <cmath>

#include "cpu/compress/histogram_grid.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

constexpr int64_t kBins = TERSOR_HISTOGRAM_BINS;

struct Clip {
  double low, high;
};

class Errors {
 public:
  Errors(const int64_t* counts, const GridOfRange& place, int32_t levels)
      : used_(place.last - place.grid.first + 1), width_(std::ldexp(1.0, place.grid.exponent)), levels_(levels) {
    for (int64_t i = 0; i <= used_; ++i) edges_[at(i)] = static_cast<double>(place.grid.first + i) * width_;
    for (int64_t i = 0; i < used_; ++i) counts_[at(i)] = static_cast<double>(counts[i]);
  }

  // Sum of squared errors of the codes of [low, high]. With steps for the unit, the integral of the squared error from
  // 0 to v, whose code is n, is n / 12 + (v - n)^3 / 3: codes that are passed over count a step of rounding each, and
  // one that v is clipped to is as far away as it is.
  double of(const Clip& clip) const {
    const double scale = (clip.high - clip.low) / levels_;
    if (!(scale > 0)) return HUGE_VAL;
    const double zero = std::clamp(rounded(-clip.low / scale), 0.0, levels_);
    const double inverse = 1 / scale, lower = -zero, upper = levels_ - zero;
    const auto integral = [&](double edge) {
      const double v = edge * inverse;
      const double nearest = rounded(v);
      const double above = nearest < lower ? lower : nearest;
      const double code = above > upper ? upper : above;
      const double apart = v - code;
      return code / 12 + apart * apart * apart / 3;
    };
    constexpr int64_t kBlock = 64;  // edges at a time, so that the loops vectorise
    double integrals[kBlock + 1], sums[4] = {};
    integrals[0] = integral(edges_[0]);
    for (int64_t begin = 0; begin < used_; begin += kBlock) {
      const int64_t count = std::min(kBlock, used_ - begin);
      for (int64_t i = 0; i < count; ++i) integrals[i + 1] = integral(edges_[at(begin + i + 1)]);
      for (int64_t i = 0; i < count; ++i) sums[i % 4] += counts_[at(begin + i)] * (integrals[i + 1] - integrals[i]);
      integrals[0] = integrals[count];
    }
    return (sums[0] + sums[1] + sums[2] + sums[3]) * (scale / width_) * scale * scale;
  }

 private:
  static size_t at(int64_t i) { return static_cast<size_t>(i); }
  // To nearest; numbers beyond 2^51, which are clipped, stay about what they are.
  static double rounded(double v) {
    constexpr double kRound = 0x1.8p52;
    const double near = v < -0x1p50 ? -0x1p50 : v > 0x1p50 ? 0x1p50 : v;
    return (near + kRound) - kRound;
  }

  const int64_t used_;
  const double width_, levels_;
  std::array<double, kBins + 1> edges_;
  std::array<double, kBins> counts_;
};

// Of equally good ranges the first one that is tried.
class Search {
 public:
  Search(tersor_context* context, const Errors& errors, const Clip& range)
      : context_(context), errors_(errors), range_(range), best_(range) {}

  tersor_status run(Clip* found) {
    // Both ends together first, since neither gains much while the other is wide.
    tersor_status status =
        try_all(25, [&](int i) { return inside(range_.low * power(-i, 2), range_.high * power(-i, 2)); });
    // Then one after the other, in steps that get finer.
    for (const int parts : {2, 16, 128}) {
      constexpr int kReach = 8;
      const auto share = [&](int i) { return power(i - kReach, parts); };
      constexpr int kRounds = 4;
      for (int round = 0; round < kRounds && status == TERSOR_OK; ++round) {
        const double before = least_;
        const Clip from = best_;
        status = try_all(2 * kReach + 1, [&](int i) { return inside(from.low * share(i), from.high); });
        const Clip now = best_;
        if (status == TERSOR_OK) {
          status = try_all(2 * kReach + 1, [&](int i) { return inside(now.low, now.high * share(i)); });
        }
        if (least_ >= before) break;
      }
    }
    *found = best_;
    return status;
  }

 private:
  // 2^(numerator / denominator)
  static double power(int numerator, int denominator) {
    return std::exp2(static_cast<double>(numerator) / denominator);
  }
  Clip inside(double low, double high) const { return {std::max(low, range_.low), std::min(high, range_.high)}; }

  template <typename Candidate>
  tersor_status try_all(int count, Candidate&& candidate) {
    constexpr int kMostTries = 25;
    std::array<double, kMostTries> errors;
    const tersor_status status = for_chunks(context_, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        errors[static_cast<size_t>(i)] = errors_.of(candidate(static_cast<int>(i)));
      }
    });
    if (status != TERSOR_OK) return status;
    const auto least = std::min_element(errors.begin(), errors.begin() + count);
    if (*least < least_) {
      least_ = *least;
      best_ = candidate(static_cast<int>(least - errors.begin()));
    }
    return TERSOR_OK;
  }

  tersor_context* context_;
  const Errors& errors_;
  const Clip range_;
  Clip best_;
  double least_ = HUGE_VAL;
};

// Where `below` of the values counted lie below.
double quantile(const int64_t* counts, const GridOfRange& place, double below) {
  double passed = 0;
  int64_t last = 0;
  for (int64_t i = 0; i <= place.last - place.grid.first; ++i) {
    if (counts[i] == 0) continue;
    const auto own = static_cast<double>(counts[i]);
    if (passed + own >= below) {
      const double share = std::max(0.0, (below - passed) / own);
      return std::ldexp(static_cast<double>(place.grid.first + i) + share, place.grid.exponent);
    }
    passed += own;
    last = i;
  }
  return std::ldexp(static_cast<double>(place.grid.first + last + 1), place.grid.exponent);
}

void write(const Clip& clip, const Range& range, const tersor_tensor* clipped) {
  auto* out = data_of<float>(clipped);
  out[0] = std::clamp(static_cast<float>(clip.low), range.low, 0.0f);
  out[1] = std::clamp(static_cast<float>(clip.high), 0.0f, range.high);
}

}  // namespace

tersor_status histogram_clip(tersor_context* context, const tersor_histogram* histogram, int32_t levels,
                             const tersor_tensor* clipped) {
  if (levels < 1 || levels > 255) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected 1 to 255 levels, got %d", levels);
  }
  if (const tersor_status status = expect_histogram(context, histogram); status != TERSOR_OK) return status;
  const Range range = range_of(histogram);
  const Errors errors(data_of<const int64_t>(&histogram->counts), grid_of(range), levels);
  Clip found{static_cast<double>(range.low), static_cast<double>(range.high)};
  const tersor_status status = Search(context, errors, found).run(&found);
  if (status == TERSOR_OK) write(found, range, clipped);
  return status;
}

tersor_status histogram_percentile(tersor_context* context, const tersor_histogram* histogram, double percentile,
                                   const tersor_tensor* clipped) {
  if (!(percentile >= 50 && percentile <= 100)) {
    return fail(context, TERSOR_OUT_OF_RANGE, "expected a percentile of 50 to 100, got %g", percentile);
  }
  if (const tersor_status status = expect_histogram(context, histogram); status != TERSOR_OK) return status;
  const auto* counts = data_of<const int64_t>(&histogram->counts);
  const Range range = range_of(histogram);
  const GridOfRange place = grid_of(range);
  double total = 0;
  for (int64_t i = 0; i < kBins; ++i) total += static_cast<double>(counts[i]);
  const double outside = total * ((100 - percentile) / 100);
  write({quantile(counts, place, outside), quantile(counts, place, total - outside)}, range, clipped);
  return TERSOR_OK;
}

}  // namespace tersor::cpu
