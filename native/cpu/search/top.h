// The best rows so far of one query.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>

namespace tersor::cpu {

template <typename Score>
struct Hit {
  Score score;
  int32_t row;
};

// Higher scores first, of equal ones the lower row.
template <typename Score>
bool ahead(const Hit<Score>& a, const Hit<Score>& b) {
  return a.score != b.score ? a.score > b.score : a.row < b.row;
}

// Collects hits in memory for 2 k of them, and drops all but k whenever that is full: a few operations a hit. Rows come
// in ascending order, so that a score equal to the k-th best is too late.
template <typename Score>
class Top {
 public:
  // `limit` when it is known that no score up to it can be among the best.
  Top(Hit<Score>* memory, int64_t k, std::optional<Score> limit)
      : hits_(memory), k_(k), limited_(limit.has_value()), limit_(limit.value_or(kNone)) {}

  // Only scores above this can be among the best; NaN (or the least integer) while all can.
  Score limit() const { return limit_; }

  void add(Score score, int32_t row) {
    if (limited_ && !(score > limit_)) return;
    hits_[count_++] = {score, row};
    if (count_ == 2 * k_) {
      std::nth_element(hits_, hits_ + (k_ - 1), hits_ + count_, ahead<Score>);
      count_ = k_;
      limited_ = true;
      limit_ = hits_[k_ - 1].score;
    }
  }

  // The best, in order, at the front of the memory; returns their number.
  int64_t finish() {
    std::sort(hits_, hits_ + count_, ahead<Score>);
    count_ = std::min(count_, k_);
    return count_;
  }

 private:
  static constexpr Score kNone =
      std::is_integral_v<Score> ? std::numeric_limits<Score>::min() : std::numeric_limits<Score>::quiet_NaN();

  Hit<Score>* hits_;
  int64_t k_, count_ = 0;
  bool limited_;
  Score limit_;
};

// The highest of the k-th best scores that parts of the rows have come up with: what is below it need not be kept
// anywhere. Parts that begin later have less to keep; the result is the same whenever they do.
template <typename Score>
class SharedLimit {
 public:
  void raise(Score score) {
    Score seen = highest_.load(std::memory_order_relaxed);
    while (score > seen && !highest_.compare_exchange_weak(seen, score, std::memory_order_relaxed)) {
    }
  }

  void reset() { highest_.store(kLowest, std::memory_order_relaxed); }

  // Just below it: an equal score of a lower row comes first.
  std::optional<Score> limit() const {
    const Score highest = highest_.load(std::memory_order_relaxed);
    if (highest == kLowest) return std::nullopt;
    if constexpr (std::is_integral_v<Score>) {
      return highest - 1;
    } else {
      return std::nextafter(highest, kLowest);
    }
  }

 private:
  static constexpr Score kLowest =
      std::is_integral_v<Score> ? std::numeric_limits<Score>::min() : -std::numeric_limits<Score>::infinity();
  std::atomic<Score> highest_{kLowest};
};

}  // namespace tersor::cpu
