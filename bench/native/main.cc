// Measures jobs and prints one JSON object a line: the environment, the limits for each thread count, then a row for
// each job and thread count. bench/bench.mjs starts it and makes the table.
//
//   tersor-bench [--threads 1,2] [--batch-ms 2] [--row-ms 500] [--seconds 3600] family:name=integer,…  …
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "benchmark.h"
#include "core/cpu_features.h"
#include "core/thread_pool.h"
#include "peer.h"
#include "pinning.h"

namespace tersor::bench {
namespace {

constexpr int kSamples = 30;

struct Options {
  std::vector<int> threads{1};
  int batch_ms = 2, row_ms = 500, seconds = 3600;
  std::vector<std::string> jobs;
};

int positive(const std::string& text, const std::string& what) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > 1'000'000) {
    throw std::invalid_argument("expected a positive integer, got '" + text + "', at " + what);
  }
  return value;
}

Options parse(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (!word.starts_with("--")) {
      options.jobs.push_back(word);
      continue;
    }
    if (i + 1 == count) throw std::invalid_argument("expected a value after " + word);
    const std::string value = words[++i];
    if (word == "--threads") {
      options.threads.clear();
      for (size_t at = 0; at <= value.size();) {
        const size_t end = std::min(value.find(',', at), value.size());
        options.threads.push_back(positive(value.substr(at, end - at), word));
        at = end + 1;
      }
    } else if (word == "--batch-ms") {
      options.batch_ms = positive(value, word);
    } else if (word == "--row-ms") {
      options.row_ms = positive(value, word);
    } else if (word == "--seconds") {
      options.seconds = positive(value, word);
    } else {
      throw std::invalid_argument("expected --threads, --batch-ms, --row-ms or --seconds, got '" + word + "'");
    }
  }
  return options;
}

// JSON of what we print: names, versions and messages.
std::string quoted(const std::string& text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') json += '\\';
    json += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return json + '"';
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

void print(const std::string& json) {
  std::puts(json.c_str());
  std::fflush(stdout);
}

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "gcc " __VERSION__;
#endif
}

void print_environment() {
  const std::string peer = peer_name();
  print("{\"environment\":{\"isa\":" + quoted(name_of(active_isa())) + ",\"compiler\":" + quoted(compiler()) +
        ",\"peer\":" + (peer.empty() ? "null" : quoted(peer)) + "}}");
}

std::string peaks(const std::vector<Peak>& all) {
  std::string json;
  for (const Peak& peak : all) {
    json += (json.empty() ? "" : ",") + quoted(peak.isa) + ":" + number(peak.per_second / 1e9);
  }
  return "{" + json + "}";
}

void print_limits(const Limits& limits) {
  std::string memory;
  for (const MemorySpeed& speed : limits.memory) {
    memory += (memory.empty() ? "{\"bytes\":" : ",{\"bytes\":") + std::to_string(speed.bytes) +
              ",\"gigabytesPerSecond\":" + number(speed.per_second / 1e9) + "}";
  }
  std::string rows;
  for (const RowSpeed& speed : limits.random_rows) {
    rows += (rows.empty() ? "{\"bytes\":" : ",{\"bytes\":") + std::to_string(speed.row_bytes) +
            ",\"millionsPerSecond\":" + number(speed.per_second / 1e6) + "}";
  }
  print("{\"limits\":{\"threads\":" + std::to_string(limits.threads) + ",\"f32Gflops\":" + peaks(limits.f32) +
        ",\"bf16Gflops\":" + peaks(limits.bf16) + ",\"int8Gops\":" + peaks(limits.int8) + ",\"memory\":[" + memory +
        "],\"randomRows\":[" + rows + "]}}");
}

// Empty when the row may be compared.
std::string why_not_comparable(const Comparison& comparison, const std::string& before, const std::string& after) {
  if (!before.empty()) return before;
  if (!after.empty()) return after;
  const auto spread = [](const char* whose, const Timing& timing) {
    return std::string(whose) + " varied by " + number(std::round(timing.spread * 100) / 100) + " (p90/p10)";
  };
  if (comparison.ours.spread > kQuietSpread) return spread("our time", comparison.ours);
  if (comparison.peer && comparison.peer->spread > kQuietSpread) return spread("the peer's time", *comparison.peer);
  return "";
}

std::string micro(double seconds) { return number(seconds * 1e6); }

void measure(const std::string& job, const Limits& limits, const Options& options, double seconds_left) {
  const std::string head = "{\"row\":{\"job\":" + quoted(job) + ",\"threads\":" + std::to_string(limits.threads);
  const Benchmark benchmark = make_benchmark(Parameters(job));
  const std::string before = disturbance(limits);
  const auto comparison = compare(benchmark.ours, benchmark.peer,
                                  {.threads = limits.threads,
                                   .samples = kSamples,
                                   .batch_seconds = options.batch_ms / 1e3,
                                   .total_seconds = options.row_ms / 1e3,
                                   .seconds_left = seconds_left});
  if (!comparison) return print(head + ",\"late\":true}}");
  if (benchmark.compare) benchmark.compare();
  const std::string busy = why_not_comparable(*comparison, before, disturbance(limits));
  const Timing& ours = comparison->ours;
  const auto limit = benchmark.random_rows > 0
                         ? bound_by_rows(limits, benchmark.random_rows, benchmark.row_bytes)
                         : bound(limits, benchmark.arithmetic, benchmark.operations, benchmark.bytes);

  std::string json = head + ",\"oursUs\":" + micro(ours.median);
  if (comparison->peer) {
    const Timing& peer = *comparison->peer;
    json += ",\"peer\":" + quoted(benchmark.peer_label.empty() ? peer_name() : benchmark.peer_label) +
            ",\"peerUs\":" + micro(peer.median);
    if (busy.empty()) json += ",\"ratio\":" + number(peer.median / ours.median);
  }
  if (limit && busy.empty()) {
    json += ",\"shareOfLimit\":" + number(limit->seconds / ours.median) + ",\"limit\":" + quoted(limit->by);
  }
  if (!busy.empty()) json += ",\"busy\":" + quoted(busy);
  print(json + "}}");
}

void run(const Options& options) {
  const Clock::time_point start = Clock::now();
  print_environment();
  std::vector<Limits> limits;
  for (const int threads : options.threads) {
    limits.push_back(measure_limits(threads));
    print_limits(limits.back());
  }
  for (const std::string& job : options.jobs) {
    for (const Limits& limit : limits) {
      set_thread_count(limit.threads);
      set_peer_threads(limit.threads);
      measure(job, limit, options, options.seconds - seconds_since(start));
    }
  }
}

}  // namespace
}  // namespace tersor::bench

int main(int count, char** words) {
  using namespace tersor;
  for (const char* error : {isa_error(), thread_count_error()}) {
    if (*error == '\0') continue;
    std::fprintf(stderr, "%s\n", error);
    return 2;
  }
  bench::pin_thread(0);
  try {
    bench::run(bench::parse(count, words));
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
