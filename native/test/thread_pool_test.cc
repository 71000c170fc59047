#if defined(__linux__)
#include <sched.h>
#endif

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>

#include "support.h"

namespace tersor::test {
namespace {

using Chunks = std::set<std::pair<int64_t, int64_t>>;

Chunks chunks_of(int64_t count, int64_t grain) {
  std::mutex mutex;
  Chunks chunks;
  CHECK(parallel_for(nullptr, count, grain, [&](int64_t begin, int64_t end) {
    std::lock_guard<std::mutex> lock(mutex);
    CHECK(chunks.emplace(begin, end).second);
  }));
  return chunks;
}

TEST_CASE("parallel_for runs every chunk once, and the chunks are the same for any thread count") {
  for (const int threads : {1, 2, 3, 7}) {
    const Threads scope(threads);
    CHECK(chunks_of(10, 4) == Chunks{{0, 4}, {4, 8}, {8, 10}});
    CHECK(chunks_of(1, 100) == Chunks{{0, 1}});
    CHECK(chunks_of(3, 0) == Chunks{{0, 1}, {1, 2}, {2, 3}});
    CHECK(chunks_of(0, 4).empty());
    CHECK(chunks_of(-5, 4).empty());
    CHECK(chunks_of(1000, 1).size() == 1000);
  }
}

TEST_CASE("parallel_for called thousands of times loses no wake-up and no write") {
  const Threads scope(3);
  std::vector<int64_t> values(16);
  for (int round = 1; round <= 3000; ++round) {
    parallel_for(nullptr, 16, 1, [&](int64_t begin, int64_t) { values[static_cast<size_t>(begin)] += begin; });
    if (values[15] != 15 * round) FAIL("round " << round);
  }
  for (int64_t i = 0; i < 16; ++i) CHECK(values[static_cast<size_t>(i)] == 3000 * i);
}

TEST_CASE("a parallel_for inside another runs inline") {
  const Threads scope(2);
  std::atomic<int> inner{0};
  CHECK(parallel_for(nullptr, 8, 1, [&](int64_t, int64_t) {
    const auto outer_thread = std::this_thread::get_id();
    parallel_for(nullptr, 8, 1, [&](int64_t, int64_t) {
      if (std::this_thread::get_id() == outer_thread) inner.fetch_add(1);
    });
  }));
  CHECK(inner.load() == 64);
}

TEST_CASE("several threads may call parallel_for at once") {
  const Threads scope(2);
  std::vector<int64_t> sums(4);
  std::vector<std::thread> callers;
  for (size_t caller = 0; caller < sums.size(); ++caller) {
    callers.emplace_back([&sums, caller] {
      for (int round = 0; round < 200; ++round) {
        std::atomic<int64_t> sum{0};
        parallel_for(nullptr, 100, 10, [&](int64_t begin, int64_t end) { sum.fetch_add(end - begin); });
        sums[caller] += sum.load();
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const int64_t sum : sums) CHECK(sum == 200 * 100);
}

TEST_CASE("a cancelled parallel_for stops before the next chunk and says so") {
  for (const int threads : {1, 3}) {
    const Threads scope(threads);
    int32_t cancel = 1;
    std::atomic<int> ran{0};
    CHECK_FALSE(parallel_for(&cancel, 100, 1, [&](int64_t, int64_t) { ran.fetch_add(1); }));
    CHECK(ran.load() == 0);
    cancel = 0;
    CHECK_FALSE(parallel_for(&cancel, 100000, 1, [&](int64_t, int64_t) {
      if (ran.fetch_add(1) == 5) __atomic_store_n(&cancel, 1, __ATOMIC_RELAXED);
    }));
    CHECK(ran.load() >= 6);
    CHECK(ran.load() < 100000);
    cancel = 0;
    CHECK(parallel_for(&cancel, 10, 1, [](int64_t, int64_t) {}));
  }
}

TEST_CASE("every thread begins with its own share of the chunks") {
  const Threads scope(2);
  constexpr int64_t kChunks = 64;
  const auto caller = std::this_thread::get_id();
  int64_t first_half = 0, second_half = 0;
  std::atomic<int> helped{0};
  for (int round = 0; round < 50; ++round) {
    parallel_for(nullptr, kChunks, 1, [&](int64_t begin, int64_t) {
      const auto start = std::chrono::steady_clock::now();
      while (std::chrono::steady_clock::now() - start < std::chrono::microseconds(20)) {
      }
      if (std::this_thread::get_id() == caller) {
        (begin < kChunks / 2 ? first_half : second_half) += 1;
      } else {
        helped.fetch_add(1);
      }
    });
  }
  // The caller's own share is the first; it takes from the other only what a slow helper leaves.
  if (helped.load() > 0) {
    CHECK(first_half > second_half);
  } else {
    CHECK(first_half == second_half);
  }
}

#if defined(__linux__)
TEST_CASE("workers keep off the CPU of their caller, wherever it goes") {
  cpu_set_t allowed;
  REQUIRE(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
  const Threads scope(3);
  const auto caller = std::this_thread::get_id();
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&allowed) > 1; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
    std::atomic<int> beside{0};
    for (int round = 0; round < 20; ++round) {
      parallel_for(nullptr, 32, 1, [&](int64_t, int64_t) {
        if (std::this_thread::get_id() != caller && sched_getcpu() == cpu) beside.fetch_add(1);
      });
    }
    CHECK(beside.load() == 0);
  }
  sched_setaffinity(0, sizeof allowed, &allowed);
}
#endif

TEST_CASE("the thread count stays within its limits") {
  const Threads scope(1);
  set_thread_count(0);
  CHECK(thread_count() == 1);
  set_thread_count(1 << 30);
  CHECK(thread_count() == 1024);
}

}  // namespace
}  // namespace tersor::test
