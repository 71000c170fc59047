#include "clock.h"

#include <algorithm>
#include <cmath>
#include <thread>

namespace tersor::bench {
namespace {

constexpr int kMostSamples = 300;
// A call this long warms the caches for itself.
constexpr double kLongCall = 0.02;
// OpenMP's idle threads spin for a while after a product; on a core that the other side now needs they would slow it.
constexpr auto kRest = std::chrono::milliseconds(3);

// One side of a comparison: how it is called, how many calls make a sample, and the samples so far.
class Side {
 public:
  Side(const std::function<void()>& call, const Pacing& pacing) : call_(call), rests_(pacing.threads > 1) {
    call_();  // what is made on the first call: threads, generated code, pages
    const Clock::time_point start = Clock::now();
    call_();
    seconds_ = std::max(seconds_since(start), 1e-9);
    calls_ = static_cast<int>(std::ceil(std::max(1.0, pacing.batch_seconds / seconds_)));
  }

  double seconds_per_sample() const { return seconds_ * (calls_ + (warms() ? 1 : 0)); }

  void sample() {
    if (rests_) std::this_thread::sleep_for(kRest);
    if (warms()) call_();
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < calls_; ++i) call_();
    samples_.push_back(seconds_since(start) / calls_);
  }

  Timing timing() const { return summary(samples_); }

 private:
  bool warms() const { return seconds_ < kLongCall; }

  const std::function<void()>& call_;
  bool rests_;
  double seconds_;
  int calls_;
  std::vector<double> samples_;
};

}  // namespace

Timing summary(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size(), tenth = n / 10;
  const double median = n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
  return {median, values[n - 1 - tenth] / values[tenth]};
}

std::optional<Comparison> compare(const std::function<void()>& ours, const std::function<void()>& peer,
                                  const Pacing& pacing) {
  const Clock::time_point start = Clock::now();
  Side our_side(ours, pacing);
  std::optional<Side> peer_side;
  if (peer) peer_side.emplace(peer, pacing);

  const double round = our_side.seconds_per_sample() + (peer_side ? peer_side->seconds_per_sample() : 0);
  if (seconds_since(start) + round * pacing.samples > pacing.seconds_left) return std::nullopt;

  const Clock::time_point first = Clock::now();
  for (int i = 0; i < pacing.samples || (i < kMostSamples && seconds_since(first) < pacing.total_seconds); ++i) {
    our_side.sample();
    if (peer_side) peer_side->sample();
  }
  Comparison comparison{our_side.timing(), std::nullopt};
  if (peer_side) comparison.peer = peer_side->timing();
  return comparison;
}

}  // namespace tersor::bench
