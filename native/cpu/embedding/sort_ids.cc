#include "cpu/embedding/sort_ids.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

namespace tersor::cpu {

// Radix sort from the low digit: stable, and linear in the number of ids.
void sort_by_id(const int32_t* ids, int64_t count, int64_t rows, int32_t* positions, int32_t* spare) {
  constexpr int kDigitBits = 11;
  constexpr int64_t kDigits = int64_t{1} << kDigitBits;
  int passes = 0;
  for (int64_t most = rows - 1; most > 0; most >>= kDigitBits) ++passes;
  // Passes write back and forth between the two, so that the last one writes `positions`.
  int32_t* from = passes % 2 == 0 ? positions : spare;
  int32_t* to = passes % 2 == 0 ? spare : positions;
  std::iota(from, from + count, 0);
  for (int pass = 0; pass < passes; ++pass) {
    const auto digit = [&](int32_t position) { return ids[position] >> (pass * kDigitBits) & (kDigits - 1); };
    std::array<int32_t, kDigits> next{};
    for (int64_t i = 0; i < count; ++i) ++next[static_cast<size_t>(digit(from[i]))];
    int32_t start = 0;
    for (int32_t& place : next) start += std::exchange(place, start);
    for (int64_t i = 0; i < count; ++i) to[next[static_cast<size_t>(digit(from[i]))]++] = from[i];
    std::swap(from, to);
  }
}

}  // namespace tersor::cpu
