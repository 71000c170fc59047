// How long a call takes beside its peer, and whether the machine was quiet enough for the comparison to mean anything.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <vector>

namespace tersor::bench {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Above this p90/p10 something else had the processor for part of the run. A quiet machine stays below 1.1.
inline constexpr double kQuietSpread = 1.25;

struct Timing {
  double median;  // seconds a call
  double spread;  // p90 / p10
};

struct Pacing {
  int threads;
  int samples;           // of each side, at least
  double batch_seconds;  // calls of a sample last at least this long together
  double total_seconds;  // samples are taken for at least this long
  double seconds_left;   // a comparison that would take longer is not begun
};

struct Comparison {
  Timing ours;
  std::optional<Timing> peer;
};

// Samples of both sides in turn, so that both see the same machine; each follows an untimed call of its own, so that
// neither pays for the other's use of the caches. `peer` may be empty. No result: there was no time for it.
std::optional<Comparison> compare(const std::function<void()>& ours, const std::function<void()>& peer,
                                  const Pacing& pacing);

// Median and spread of values in any order; at least one.
Timing summary(std::vector<double> values);

}  // namespace tersor::bench
