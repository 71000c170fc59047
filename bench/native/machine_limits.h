// What this machine can do at most, measured before anything is compared with it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "clock.h"

namespace tersor::bench {

enum class Arithmetic { f32, bf16, int8 };

struct Peak {
  const char* isa;
  double per_second;  // operations, a multiply-add being two
};

// Reads of a buffer of `bytes` again and again: of a cache when it fits in one, else of main memory.
struct MemorySpeed {
  int64_t bytes;
  double per_second;
};

// Reads of rows of so many bytes at random places of a table of kRandomRows rows, each fetched as long before its use
// as embedding bags do it.
struct RowSpeed {
  int64_t row_bytes;
  double per_second;  // rows
};
inline constexpr int64_t kRandomRows = 1'000'000;

struct Limits {
  int threads;  // in all of what follows, all threads together
  std::vector<Peak> f32, bf16, int8;
  // Of the instruction sets that our kernels may use; of bf16 the better of its own unit and that of f32.
  std::optional<double> f32_in_use, bf16_in_use, int8_in_use;
  std::vector<MemorySpeed> memory;    // smallest first
  std::vector<RowSpeed> random_rows;  // shortest first
};

Limits measure_limits(int threads);

// The best time for so many operations and so many bytes read or written: the later of the two; none when the peak of
// this arithmetic is not known. The memory's speed is that of the largest measured buffer that is not above `bytes`,
// which is never slower than what the kernel can have.
struct Bound {
  double seconds;
  const char* by;  // "arithmetic", "memory" or "random rows"
};
std::optional<Bound> bound(const Limits& limits, Arithmetic arithmetic, double operations, double bytes);

// The best time for reading `rows` random rows of `row_bytes`; none when that length was not measured.
std::optional<Bound> bound_by_rows(const Limits& limits, double rows, int64_t row_bytes);

// Why the machine was not quiet, judged by short bursts of arithmetic; empty when it was.
std::string disturbance(const Limits& limits);

}  // namespace tersor::bench
