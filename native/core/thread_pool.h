// Tersor's own threads. Node's libuv pool is never used.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace tersor {

// Threads used by parallel_for, the caller included: TERSOR_THREADS when set, else the CPUs this process may run on.
int thread_count();

// Takes effect on the next parallel_for. `count` is brought into [1, 1024].
void set_thread_count(int count);

// Empty, or why TERSOR_THREADS cannot be honoured. Whoever loads the library must refuse to go on.
const char* thread_count_error();

using ParallelBody = void (*)(void* state, int64_t begin, int64_t end);
bool parallel_for_erased(const volatile int32_t* cancel, int64_t count, int64_t grain, ParallelBody body, void* state);

// Runs body(begin, end) over [0, count) in chunks [i * grain, (i + 1) * grain). The chunks do not depend on the thread
// count, so a body that writes only its own chunk gives the same bits on any machine. Nested and concurrent calls run
// inline. The body must not throw. Returns false when *cancel became non-zero before every chunk ran.
template <typename Body>
bool parallel_for(const volatile int32_t* cancel, int64_t count, int64_t grain, Body&& body) {
  using Erased = std::remove_reference_t<Body>;
  return parallel_for_erased(
      cancel, count, grain, [](void* state, int64_t begin, int64_t end) { (*static_cast<Erased*>(state))(begin, end); },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

}  // namespace tersor
