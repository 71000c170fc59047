#include "core/thread_pool.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#include "core/thread_placement.h"

namespace tersor {
namespace {

constexpr int kMaxThreads = 1024;

int available_cpus() {
  const auto allowed = static_cast<int>(allowed_cpus().size());
  return allowed > 0 ? allowed : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
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

// One parallel_for in progress. Every thread has a share of the chunks, the same in every job of that many chunks, so
// that it finds what it wrote or read last time in its own caches; when its share is done it takes from the others'.
class Job {
 public:
  Job(const volatile int32_t* cancel, int64_t count, int64_t grain, ParallelBody body, void* state)
      : cancel_(cancel), count_(count), grain_(grain), chunks_((count - 1) / grain + 1), body_(body), state_(state) {}

  int64_t chunks() const { return chunks_; }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  // Before the first of `threads` threads runs any.
  void share_among(int threads) {
    shares_ = static_cast<int>(std::min<int64_t>(std::min(threads, kMostShares), chunks_));
    for (int i = 0; i < shares_; ++i) {
      share_[i].next.store(chunks_ * i / shares_, std::memory_order_relaxed);
      share_[i].end = chunks_ * (i + 1) / shares_;
    }
  }

  // Thread 0 is the caller.
  void run_chunks(int thread) {
    for (int i = 0; i < shares_; ++i) {
      if (!run_share(share_[(thread + i) % shares_])) return;
    }
  }

 private:
  static constexpr int kMostShares = 64;
  struct alignas(64) Share {
    std::atomic<int64_t> next;
    int64_t end;
  };

  // False when the job was cancelled.
  bool run_share(Share& share) {
    for (;;) {
      const int64_t chunk = share.next.fetch_add(1, std::memory_order_relaxed);
      if (chunk >= share.end) return true;
      if (cancel_ != nullptr && __atomic_load_n(cancel_, __ATOMIC_RELAXED) != 0) {
        cancelled_.store(true, std::memory_order_relaxed);
        return false;
      }
      body_(state_, chunk * grain_, std::min(count_, (chunk + 1) * grain_));
    }
  }

  const volatile int32_t* const cancel_;
  const int64_t count_, grain_, chunks_;
  const ParallelBody body_;
  void* const state_;
  std::atomic<bool> cancelled_{false};
  int shares_ = 0;
  std::array<Share, kMostShares> share_;  // the first `shares_`
};

thread_local bool inside_parallel_for = false;

// How long a worker looks for the next job before it sleeps: a model's layers follow each other within microseconds,
// and waking a sleeper takes longer than many of them.
constexpr std::chrono::microseconds kSpin{100};

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Workers wait for a new generation, join the job if one is open and they are wanted, and run its chunks. The word
// `state_` holds the generation, whether the job is open, and how many have joined: one compare-and-swap joins, one
// subtraction leaves, and the caller waits for the count to reach zero.
class Pool {
 public:
  // Never destroyed: at process exit workers may still be asleep.
  static Pool& instance() {
    static Pool* pool = new Pool;
    return *pool;
  }

  // False when another thread is using the pool.
  bool try_run(Job& job, int threads) {
    std::unique_lock<std::mutex> user(user_, std::try_to_lock);
    if (!user.owns_lock()) return false;
    const int helpers = static_cast<int>(std::min<int64_t>(threads, job.chunks())) - 1;
    job.share_among(helpers + 1);
    start_workers(helpers);
    placement_.keep_off_callers_cpu();
    job_ = &job;
    helpers_wanted_.store(helpers, std::memory_order_relaxed);
    // Sequentially consistent with a sleeper's last look at `state_`: either it sees this, or we see it asleep.
    state_.store((state_.load() / kGeneration + 1) * kGeneration + kOpen);
    if (asleep_.load() > 0) {
      std::lock_guard<std::mutex> lock(mutex_);
      wake_.notify_all();
    }
    inside_parallel_for = true;
    job.run_chunks(0);
    inside_parallel_for = false;
    // Only helpers that joined are waited for: one that is slow to wake (or lost in a fork) holds no chunk.
    uint64_t state = state_.fetch_and(~kOpen) & ~kOpen;
    for (int spins = 0; state % kOpen != 0; state = state_.load(std::memory_order_acquire)) {
      // A helper that the system has put aside in the middle of a chunk may need our core.
      if (++spins > kSpinsBeforeYield) std::this_thread::yield();
      pause_briefly();
    }
    return true;
  }

 private:
  static constexpr uint64_t kOpen = 1u << 16, kGeneration = kOpen * 2;  // below kOpen: how many have joined
  static constexpr int kSpinsBeforeYield = 2000;

  void start_workers(int wanted) {
    try {
      for (; workers_ < wanted; ++workers_) {
        std::thread worker(&Pool::work, this, workers_);
        placement_.add(worker.native_handle());
        worker.detach();
      }
    } catch (const std::system_error&) {
      // No more threads to be had: the caller runs what helpers would have run, with the same result.
    }
  }

  // The job, joined, when it is open and this worker is wanted.
  Job* try_join(int index) {
    uint64_t state = state_.load(std::memory_order_acquire);
    while ((state & kOpen) != 0 && index < helpers_wanted_.load(std::memory_order_relaxed)) {
      if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel)) return job_;
    }
    return nullptr;
  }

  void work(int index) {
    inside_parallel_for = true;
    uint64_t seen = 0;
    for (;;) {
      seen = wait_for_change(seen);
      if (Job* job = try_join(index)) {
        job->run_chunks(index + 1);
        state_.fetch_sub(1, std::memory_order_release);
      }
    }
  }

  // The generation after `seen`, when there is one: looks for it, then sleeps.
  uint64_t wait_for_change(uint64_t seen) {
    const auto changed = [&] { return state_.load(std::memory_order_acquire) / kGeneration != seen; };
    const auto end = std::chrono::steady_clock::now() + kSpin;
    while (!changed()) {
      for (int i = 0; i < 32 && !changed(); ++i) pause_briefly();
      if (std::chrono::steady_clock::now() < end) continue;
      std::unique_lock<std::mutex> lock(mutex_);
      asleep_.fetch_add(1);
      wake_.wait(lock, [&] { return state_.load() / kGeneration != seen; });
      asleep_.fetch_sub(1);
    }
    return state_.load(std::memory_order_acquire) / kGeneration;
  }

  std::mutex user_;      // held by the thread whose job is running
  int workers_ = 0;      // guarded by user_
  Placement placement_;  // of the workers; guarded by user_
  Job* job_ = nullptr;   // of the open generation
  std::atomic<int> helpers_wanted_{0};
  std::atomic<uint64_t> state_{0};
  std::mutex mutex_;  // only to sleep
  std::condition_variable wake_;
  std::atomic<int> asleep_{0};
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
  Job job(cancel, count, grain, body, state);
  const int threads = thread_count();
  if (job.chunks() == 1 || threads == 1 || inside_parallel_for || !Pool::instance().try_run(job, threads)) {
    job.share_among(1);
    job.run_chunks(0);
  }
  return !job.cancelled();
}

}  // namespace tersor
