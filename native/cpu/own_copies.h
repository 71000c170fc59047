// What all threads of a parallel loop read, laid out anew by each for itself.
//
// A line that another core wrote takes longer to come over than to lay out, and longer again to take back for the next
// call; two cores that shared one copy of x could be slower than one alone.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tersor::cpu {

class OwnCopies {
 public:
  // Of parts of at most `bytes`. Belongs to one loop.
  explicit OwnCopies(size_t bytes);

  // The calling thread's copy of `part`, 64-byte aligned, valid until it asks for another: the one it has when it asks
  // for the same part as the last time, else what make(memory) writes. Null: there is no memory.
  template <typename Make>
  const void* get(int64_t part, Make&& make) const {
    bool made = false;
    void* memory = find(part, &made);
    if (memory != nullptr && !made) make(memory);
    return memory;
  }

 private:
  void* find(int64_t part, bool* made) const;

  size_t bytes_;
  uint64_t loop_;
};

}  // namespace tersor::cpu
