#include "core/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace tersor {
namespace {

constexpr int kMaxThreads = 1024;

int available_cpus() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

struct ThreadWish {
  int count;
  std::string error;
};

ThreadWish read_wish() {
  const char* text = std::getenv("TERSOR_THREADS");
  const int fallback = std::min(available_cpus(), kMaxThreads);
  if (text == nullptr || *text == '\0') return {fallback, ""};
  char* end = nullptr;
  errno = 0;
  const long value = std::strtol(text, &end, 10);
  if (errno == 0 && *end == '\0' && value >= 1 && value <= kMaxThreads) return {static_cast<int>(value), ""};
  return {fallback,
          "expected an integer in [1, " + std::to_string(kMaxThreads) + "], got " + text + ", at TERSOR_THREADS"};
}

const ThreadWish& wish() {
  static const ThreadWish read = read_wish();
  return read;
}

std::atomic<int>& count_setting() {
  static std::atomic<int> count{wish().count};
  return count;
}

// One parallel_for in progress. Threads take the next chunk until none is left.
struct Job {
  const volatile int32_t* cancel;
  int64_t count, grain, chunks;
  ParallelBody body;
  void* state;
  std::atomic<int64_t> next{0};
  std::atomic<bool> cancelled{false};

  void run_chunks() {
    for (;;) {
      const int64_t chunk = next.fetch_add(1, std::memory_order_relaxed);
      if (chunk >= chunks) return;
      if (cancel != nullptr && __atomic_load_n(cancel, __ATOMIC_RELAXED) != 0) {
        cancelled.store(true, std::memory_order_relaxed);
        return;
      }
      body(state, chunk * grain, std::min(count, (chunk + 1) * grain));
    }
  }
};

thread_local bool inside_parallel_for = false;

class Pool {
 public:
  // Never destroyed: at process exit workers may still be blocked on `wake_`.
  static Pool& instance() {
    static Pool* pool = new Pool;
    return *pool;
  }

  // False when another thread is using the pool.
  bool try_run(Job& job, int threads) {
    std::unique_lock<std::mutex> user(user_, std::try_to_lock);
    if (!user.owns_lock()) return false;
    const int helpers = static_cast<int>(std::min<int64_t>(threads, job.chunks)) - 1;
    start_workers(helpers);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      job_ = &job;
      helpers_wanted_ = helpers;
      ++generation_;
    }
    wake_.notify_all();
    inside_parallel_for = true;
    job.run_chunks();
    inside_parallel_for = false;
    // Only helpers that joined are waited for: one that is slow to wake (or lost in a fork) holds no chunk.
    std::unique_lock<std::mutex> lock(mutex_);
    job_ = nullptr;
    idle_.wait(lock, [this] { return active_ == 0; });
    return true;
  }

 private:
  void start_workers(int wanted) {
    try {
      for (; workers_ < wanted; ++workers_) std::thread(&Pool::work, this, workers_).detach();
    } catch (const std::system_error&) {
      // No more threads to be had: the caller runs what helpers would have run, with the same result.
    }
  }

  void work(int index) {
    inside_parallel_for = true;
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return job_ != nullptr && generation_ != seen && index < helpers_wanted_; });
      seen = generation_;
      Job* job = job_;
      ++active_;
      lock.unlock();
      job->run_chunks();
      lock.lock();
      if (--active_ == 0) idle_.notify_one();
    }
  }

  std::mutex user_;  // held by the thread whose job is running
  int workers_ = 0;  // guarded by user_
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  Job* job_ = nullptr;
  int helpers_wanted_ = 0, active_ = 0;
  uint64_t generation_ = 0;
};

}  // namespace

int thread_count() { return count_setting().load(std::memory_order_relaxed); }

void set_thread_count(int count) {
  count_setting().store(std::clamp(count, 1, kMaxThreads), std::memory_order_relaxed);
}

const char* thread_count_error() { return wish().error.c_str(); }

bool parallel_for_erased(const volatile int32_t* cancel, int64_t count, int64_t grain, ParallelBody body, void* state) {
  if (count <= 0) return true;
  grain = std::max<int64_t>(grain, 1);
  Job job{cancel, count, grain, (count - 1) / grain + 1, body, state};
  const int threads = thread_count();
  if (job.chunks == 1 || threads == 1 || inside_parallel_for || !Pool::instance().try_run(job, threads))
    job.run_chunks();
  return !job.cancelled.load(std::memory_order_relaxed);
}

}  // namespace tersor
