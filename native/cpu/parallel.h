// How operations split work over the pool: by sizes alone, never by thread count, so that the bits do not depend on it.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <limits>

#include "backend/fail.h"
#include "core/thread_pool.h"

namespace tersor::cpu {

// Elements of cheap work per chunk. Waking a thread costs some 10 us, in which one core does about this much.
inline constexpr int64_t kGrain = int64_t{1} << 17;

// Rows per chunk when each row is `columns` elements of cheap work.
inline int64_t row_grain(int64_t columns) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, columns)); }

inline tersor_status cancelled(tersor_context* context) {
  return fail(context, TERSOR_CANCELLED, "expected to finish, got a cancel request");
}

// body(begin, end) over [0, count), in parallel.
template <typename Body>
tersor_status for_chunks(tersor_context* context, int64_t count, int64_t grain, Body&& body) {
  return parallel_for(context->cancel, count, grain, body) ? TERSOR_OK : cancelled(context);
}

// body(begin, end) over [0, count), in parallel, which says whether it had the memory that it asked for; where one had
// not, what out_of_memory() fails with.
template <typename Body, typename Fail>
tersor_status for_chunks_with_memory(tersor_context* context, int64_t count, int64_t grain, Body&& body,
                                     Fail&& out_of_memory) {
  std::atomic<bool> enough{true};
  const tersor_status status = for_chunks(context, count, grain, [&](int64_t begin, int64_t end) {
    if (!body(begin, end)) enough = false;
  });
  return status != TERSOR_OK || enough ? status : out_of_memory();
}

// Folds body(begin, end) -> T over [0, count): chunks are computed in parallel and combined in their order.
// At most 256 chunks, so that partial results need no memory of their own.
template <typename T, typename Combine, typename Body>
tersor_status fold_chunks(tersor_context* context, int64_t count, int64_t grain, T identity, Combine&& combine,
                          Body&& body, T* result) {
  constexpr int64_t kMaxChunks = 256;
  const int64_t chunk = std::max(grain, (count + kMaxChunks - 1) / kMaxChunks);
  std::array<T, kMaxChunks> partial;
  const tersor_status status =
      for_chunks(context, count, chunk, [&](int64_t begin, int64_t end) { partial[begin / chunk] = body(begin, end); });
  if (status != TERSOR_OK) return status;
  *result = identity;
  for (int64_t i = 0; i * chunk < count; ++i) *result = combine(*result, partial[i]);
  return TERSOR_OK;
}

// The smallest place at which any thread met something wrong: the same error whatever the thread count.
class FirstPlace {
 public:
  void report(int64_t place) {
    int64_t seen = first_.load(std::memory_order_relaxed);
    while (place < seen && !first_.compare_exchange_weak(seen, place, std::memory_order_relaxed)) {
    }
  }
  bool found() const { return place() != kNone; }
  int64_t place() const { return first_.load(std::memory_order_relaxed); }

 private:
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  std::atomic<int64_t> first_{kNone};
};

}  // namespace tersor::cpu
