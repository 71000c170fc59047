#include "cpu/own_copies.h"

#include <atomic>
#include <cstdint>

#include "support.h"

namespace tersor::test {
namespace {

using cpu::OwnCopies;

constexpr int64_t kParts = 5, kChunksPerPart = 40, kNumbers = 64;

// Runs a loop whose chunks read a copy of their part of `source`; counts copies that were made.
int64_t read_parts(int64_t source, bool* right) {
  const OwnCopies copies(kNumbers * sizeof(int64_t));
  std::atomic<int64_t> made{0};
  std::atomic<bool> all_right{true};
  parallel_for(nullptr, kParts * kChunksPerPart, 1, [&](int64_t chunk, int64_t) {
    const int64_t part = chunk / kChunksPerPart;
    const auto* numbers = static_cast<const int64_t*>(copies.get(part, [&](void* memory) {
      made += 1;
      for (int64_t i = 0; i < kNumbers; ++i) static_cast<int64_t*>(memory)[i] = source + part * kNumbers + i;
    }));
    if (numbers == nullptr || reinterpret_cast<uintptr_t>(numbers) % 64 != 0) {
      all_right = false;
      return;
    }
    for (int64_t i = 0; i < kNumbers; ++i) {
      if (numbers[i] != source + part * kNumbers + i) all_right = false;
    }
  });
  *right = all_right;
  return made;
}

TEST_CASE("a thread makes a copy once for the chunks of a part that follow each other, and anew in every loop") {
  for (const int threads : {1, 2, 3}) {
    const Threads scope(threads);
    for (int64_t loop = 0; loop < 20; ++loop) {
      bool right = false;
      const int64_t made = read_parts(loop * 1000, &right);
      CHECK(right);
      CHECK(made >= kParts);
      // A thread that has done its share takes chunks of another's: at worst it begins each share in its middle.
      CHECK(made <= threads * (kParts + threads - 1));
      if (threads == 1) CHECK(made == kParts);
    }
  }
}

TEST_CASE("no memory for a copy is told") {
  const OwnCopies copies(SIZE_MAX / 2);
  bool made = false;
  CHECK(copies.get(0, [&](void*) { made = true; }) == nullptr);
  CHECK_FALSE(made);
}

}  // namespace
}  // namespace tersor::test
