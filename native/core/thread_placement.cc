#include "core/thread_placement.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace tersor {

#if defined(__linux__)

const std::vector<int>& allowed_cpus() {
  // Of the process's start: libraries beside us may bind the calling thread to one CPU later, which says nothing about
  // ours.
  static const std::vector<int> at_start = [] {
    cpu_set_t set;
    std::vector<int> cpus;
    // Fails on machines with more CPUs than the set has room for.
    if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
    return cpus;
  }();
  return at_start;
}

void Placement::add(std::thread::native_handle_type worker) {
  workers_.push_back(worker);
  callers_cpu_ = -1;
}

void Placement::keep_off_callers_cpu() {
  const int cpu = sched_getcpu();
  if (cpu < 0 || cpu == callers_cpu_) return;
  callers_cpu_ = cpu;
  cpu_set_t others;
  CPU_ZERO(&others);
  for (const int other : allowed_cpus()) {
    if (other != cpu) CPU_SET(other, &others);
  }
  if (CPU_COUNT(&others) == 0) return;
  // A refusal leaves the worker where it is, which costs time but nothing else.
  for (const std::thread::native_handle_type worker : workers_) pthread_setaffinity_np(worker, sizeof others, &others);
}

#else

const std::vector<int>& allowed_cpus() {
  static const std::vector<int> unknown;
  return unknown;
}
void Placement::add(std::thread::native_handle_type worker) { workers_.push_back(worker); }
void Placement::keep_off_callers_cpu() {}

#endif

}  // namespace tersor
