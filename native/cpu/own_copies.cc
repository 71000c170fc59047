#include "cpu/own_copies.h"

#include <atomic>

#include "cpu/scratch.h"

namespace tersor::cpu {
namespace {

// What copy_scratch() holds.
struct Held {
  uint64_t loop = 0;  // 0: nothing
  int64_t part = 0;
};

thread_local Held held;

uint64_t next_loop() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

OwnCopies::OwnCopies(size_t bytes) : bytes_(bytes), loop_(next_loop()) {}

void* OwnCopies::find(int64_t part, bool* made) const {
  tersor_context own{};
  void* memory = nullptr;
  if (copy_scratch(&own, bytes_, &memory) != TERSOR_OK) return nullptr;
  *made = held.loop == loop_ && held.part == part;
  held = {loop_, part};
  return memory;
}

}  // namespace tersor::cpu
