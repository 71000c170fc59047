#include "pinning.h"

#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

namespace tersor::bench {

#if defined(__linux__)

void pin_thread(int index) {
  // Asked once, before the first thread is bound.
  static const std::vector<int> cpus = [] {
    cpu_set_t set;
    std::vector<int> allowed;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return allowed;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) allowed.push_back(cpu);
    }
    return allowed;
  }();
  if (cpus.empty()) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpus[static_cast<size_t>(index) % cpus.size()], &one);
  sched_setaffinity(0, sizeof one, &one);
}

#else

void pin_thread(int) {}

#endif

}  // namespace tersor::bench
