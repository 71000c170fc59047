// Tersor's own threads. Node's libuv pool is never used.
#pragma once

#include <cstdint>
#include <type_traits>

namespace tersor {

// Threads used by parallel_for, the caller included: TERSOR_THREADS when set, else the CPUs this process may run on.
int thread_count();
void set_thread_count(int count);

using ParallelBody = void (*)(void* state, int64_t begin, int64_t end);
bool parallel_for_erased(const volatile int32_t* cancel, int64_t count, int64_t grain, ParallelBody body, void* state);

// Runs body(begin, end) over [0, count) in chunks [i * grain, (i + 1) * grain). The chunks do not depend on the thread count, so
// a body that writes only its own chunk gives the same bits on any machine. Nested and concurrent calls run inline.
// Returns false when *cancel became non-zero before every chunk ran.
template <typename Body>
bool parallel_for(const volatile int32_t* cancel, int64_t count, int64_t grain, Body&& body) {
  return parallel_for_erased(
      cancel, count, grain,
      [](void* state, int64_t begin, int64_t end) { (*static_cast<std::remove_reference_t<Body>*>(state))(begin, end); },
      &body);
}

}  // namespace tersor
