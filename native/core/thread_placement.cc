#include "core/thread_placement.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace tersor {

#if defined(__linux__)

namespace {

// Of the process's start: libraries beside us may bind the calling thread to one CPU later, which says nothing about
// ours.
const cpu_set_t& allowed() {
  static const cpu_set_t at_start = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    // Fails on machines with more CPUs than the set has room for: it then stays empty.
    if (sched_getaffinity(0, sizeof set, &set) != 0) CPU_ZERO(&set);
    return set;
  }();
  return at_start;
}

}  // namespace

int allowed_cpus() { return CPU_COUNT(&allowed()); }

void Placement::add(std::thread::native_handle_type worker) {
  workers_.push_back(worker);
  callers_cpu_ = -1;
}

void Placement::keep_off_callers_cpu() {
  const int cpu = sched_getcpu();
  if (cpu < 0 || cpu == callers_cpu_) return;
  callers_cpu_ = cpu;
  cpu_set_t others = allowed();
  if (cpu < CPU_SETSIZE) CPU_CLR(cpu, &others);
  if (CPU_COUNT(&others) == 0) return;
  // A refusal leaves the worker where it is, which costs time but nothing else.
  for (const std::thread::native_handle_type worker : workers_) pthread_setaffinity_np(worker, sizeof others, &others);
}

#else

int allowed_cpus() { return 0; }
void Placement::add(std::thread::native_handle_type worker) { workers_.push_back(worker); }
void Placement::keep_off_callers_cpu() {}

#endif

}  // namespace tersor
