#include "pinning.h"

#include "core/thread_placement.h"

#if defined(__linux__)
#include <sched.h>
#endif

namespace tersor::bench {

#if defined(__linux__)

void pin_thread(int index) {
  const std::vector<int>& cpus = allowed_cpus();
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
