#include "machine_limits.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <barrier>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <random>
#include <thread>

#include "backend/kernels.h"
#include "cpu/embedding/bag.h"
#include "limit_loops.h"
#include "pinning.h"

namespace tersor::bench {
namespace {

const KernelList<PeakLoop> f32_peaks("peak of f32", {
#if TERSOR_X86
  {"f32_peak_avx512", Isa::avx512, f32_peak_avx512}, {"f32_peak_avx2", Isa::avx2, f32_peak_avx2},
#endif
      {"f32_peak_scalar", Isa::scalar, f32_peak_scalar},
});

// A machine without a unit for bf16 multiplies it as f32, and has no peak of its own.
const KernelList<PeakLoop> bf16_peaks("peak of bf16", {
#if TERSOR_X86
  {"bf16_peak_avx512bf16", Isa::avx512_bf16, bf16_peak_avx512bf16},
#endif
});

const KernelList<StreamLoop> streams("stream", {
#if TERSOR_X86
  {"stream_avx512", Isa::avx512, stream_avx512}, {"stream_avx2", Isa::avx2, stream_avx2},
#endif
      {"stream_scalar", Isa::scalar, stream_scalar},
});

const KernelList<RowsLoop> random_rows("random rows", {
#if TERSOR_X86
  {"rows_avx512", Isa::avx512, rows_avx512}, {"rows_avx2", Isa::avx2, rows_avx2},
#endif
      {"rows_scalar", Isa::scalar, rows_scalar},
});

struct Int8Peak {
  Isa isa;
  PeakLoop* loop;
};
// Without vectors int8 products have no unit of their own, and so no peak worth a share.
const Int8Peak int8_peaks[] = {
#if TERSOR_X86
    {Isa::avx512_vnni, int8_peak_avx512vnni},
    {Isa::avx2, int8_peak_avx2},
#endif
    {Isa::scalar, nullptr},
};

constexpr int64_t kPeakRounds = int64_t{1} << 18;  // about a millisecond
constexpr int kBursts = 20;

constexpr int64_t kSmallestBuffer = int64_t{256} << 10, kLargestBuffer = int64_t{256} << 20;
constexpr int64_t kBurstBytes = int64_t{64} << 20;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr int64_t kRowsPerBurst = int64_t{1} << 15;
constexpr int kRowBursts = 32;

// Below this share of the peak measured at the start, or above its inverse, one of the two was disturbed.
constexpr double kQuietShare = 0.9;

// Rates of `bursts` bursts, each the sum over threads that start it together. `work` returns the amount done.
std::vector<double> burst_rates(int threads, int bursts, const std::function<double(int thread)>& work) {
  std::vector<std::vector<double>> rates(static_cast<size_t>(threads));
  std::barrier start(threads);
  const auto run = [&](int thread) {
    pin_thread(thread);
    for (int burst = 0; burst < bursts; ++burst) {
      start.arrive_and_wait();
      const Clock::time_point began = Clock::now();
      const double amount = work(thread);
      rates[static_cast<size_t>(thread)].push_back(amount / seconds_since(began));
    }
  };
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; ++thread) others.emplace_back(run, thread);
  run(0);
  for (std::thread& other : others) other.join();
  for (size_t thread = 1; thread < rates.size(); ++thread) {
    std::transform(rates[0].begin(), rates[0].end(), rates[thread].begin(), rates[0].begin(), std::plus<>());
  }
  return rates[0];
}

std::vector<double> peak_rates(PeakLoop* loop, int threads) {
  return burst_rates(threads, kBursts, [loop](int) { return static_cast<double>(loop(kPeakRounds)); });
}

// A limit is what the machine can do, so the best burst counts.
double best_rate(const std::vector<double>& rates) { return *std::max_element(rates.begin(), rates.end()); }

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

std::unique_ptr<char, Free> touched_buffer() {
  std::unique_ptr<char, Free> buffer(static_cast<char*>(std::aligned_alloc(kHugePage, kLargestBuffer)));
  if (!buffer) throw std::bad_alloc();
#if defined(__linux__)
  // Else the limit would be that of address translation. A kernel without huge pages may refuse.
  madvise(buffer.get(), kLargestBuffer, MADV_HUGEPAGE);
#endif
  std::memset(buffer.get(), 1, kLargestBuffer);
  return buffer;
}

std::vector<RowSpeed> row_speeds(int threads, const char* buffer) {
  // As many different look-ups as the table has rows, again and again: what fits in the last-level cache gets there.
  std::vector<int32_t> ids(static_cast<size_t>(kRowsPerBurst * kRowBursts));
  std::minstd_rand random(1);
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % kRandomRows);
  std::vector<RowSpeed> speeds;
  // 64 columns in product codes, in 4 and 8 bits with their parameters, and in f32.
  for (const int64_t row_bytes : {16, 40, 72, 128, 256}) {
    std::vector<int64_t> done(static_cast<size_t>(threads));
    for (int thread = 0; thread < threads; ++thread) done[static_cast<size_t>(thread)] = thread;
    const bool is_long = row_bytes > cpu::kLongRowBytes;
    const std::vector<double> rates = burst_rates(threads, 6 * kRowBursts, [&](int thread) {
      const int64_t burst = (done[static_cast<size_t>(thread)] += threads) % kRowBursts;
      const int32_t* from = ids.data() + burst * kRowsPerBurst;
      random_rows.best()(buffer, row_bytes, from, kRowsPerBurst, is_long ? cpu::kLongRowsAhead : cpu::kRowsAhead,
                         is_long);
      return static_cast<double>(kRowsPerBurst);
    });
    speeds.push_back({row_bytes, best_rate(rates)});
  }
  return speeds;
}

std::vector<MemorySpeed> memory_speeds(int threads, const char* buffer) {
  std::vector<MemorySpeed> speeds;
  for (int64_t bytes = kSmallestBuffer; bytes <= kLargestBuffer; bytes *= 4) {
    const int64_t share = bytes / threads / kStreamStep * kStreamStep;
    const int64_t passes = std::max<int64_t>(1, kBurstBytes / bytes);
    const std::vector<double> rates = burst_rates(threads, kBursts, [&](int thread) {
      for (int64_t pass = 0; pass < passes; ++pass) streams.best()(buffer + thread * share, share);
      return static_cast<double>(share * passes);
    });
    speeds.push_back({bytes, best_rate(rates)});
  }
  return speeds;
}

}  // namespace

Limits measure_limits(int threads) {
  Limits limits{.threads = threads,
                .f32 = {},
                .bf16 = {},
                .int8 = {},
                .f32_in_use = {},
                .bf16_in_use = {},
                .int8_in_use = {},
                .memory = {},
                .random_rows = {}};
  for (const Isa isa : {Isa::avx512, Isa::avx2, Isa::scalar}) {
    PeakLoop* loop = f32_peaks.at(isa);
    if (loop == nullptr) continue;
    limits.f32.push_back({name_of(isa), best_rate(peak_rates(loop, threads))});
    if (loop == f32_peaks.best()) limits.f32_in_use = limits.f32.back().per_second;
  }
  limits.bf16_in_use = limits.f32_in_use;
  if (PeakLoop* loop = bf16_peaks.at(Isa::avx512_bf16)) {
    limits.bf16.push_back({name_of(Isa::avx512_bf16), best_rate(peak_rates(loop, threads))});
    if (loop == bf16_peaks.best()) limits.bf16_in_use = std::max(*limits.bf16_in_use, limits.bf16.back().per_second);
  }
  for (const Int8Peak& peak : int8_peaks) {
    if (peak.loop == nullptr || !detected_isas().has(peak.isa)) continue;
    limits.int8.push_back({name_of(peak.isa), best_rate(peak_rates(peak.loop, threads))});
    if (!limits.int8_in_use && active_isas().has(peak.isa)) limits.int8_in_use = limits.int8.back().per_second;
  }
  const std::unique_ptr<char, Free> buffer = touched_buffer();
  limits.memory = memory_speeds(threads, buffer.get());
  limits.random_rows = row_speeds(threads, buffer.get());
  return limits;
}

std::optional<Bound> bound(const Limits& limits, Arithmetic arithmetic, double operations, double bytes) {
  const std::optional<double> peak = arithmetic == Arithmetic::f32    ? limits.f32_in_use
                                     : arithmetic == Arithmetic::bf16 ? limits.bf16_in_use
                                                                      : limits.int8_in_use;
  if (!peak || operations == 0) return std::nullopt;
  double speed = limits.memory.front().per_second;
  for (const MemorySpeed& memory : limits.memory) {
    if (static_cast<double>(memory.bytes) <= bytes) speed = memory.per_second;
  }
  const double computing = operations / *peak, moving = bytes / speed;
  return Bound{std::max(computing, moving), moving > computing ? "memory" : "arithmetic"};
}

std::optional<Bound> bound_by_rows(const Limits& limits, double rows, int64_t row_bytes) {
  for (const RowSpeed& speed : limits.random_rows) {
    if (speed.row_bytes == row_bytes) return Bound{rows / speed.per_second, "random rows"};
  }
  return std::nullopt;
}

std::string disturbance(const Limits& limits) {
  const Timing rate = summary(peak_rates(f32_peaks.best(), limits.threads));
  const double share = rate.median / limits.f32_in_use.value();
  char text[128] = "";
  if (share < kQuietShare || share > 1 / kQuietShare) {
    std::snprintf(text, sizeof text, "arithmetic ran at %.2f of the peak measured first", share);
  } else if (rate.spread > kQuietSpread) {
    std::snprintf(text, sizeof text, "arithmetic varied by %.2f (p90/p10)", rate.spread);
  }
  return text;
}

}  // namespace tersor::bench
