// Which CPUs the pool's workers may run on.
#pragma once

#include <thread>
#include <vector>

namespace tersor {

// CPUs that this process might run on when this was first asked; none where the system does not say.
const std::vector<int>& allowed_cpus();

// Keeps workers off the CPU of the thread that they help. A scheduler that packs threads on few CPUs, as those of some
// virtual machines do, otherwise wakes a worker where its caller computes, and both take turns for milliseconds while
// another CPU idles. Workers stay free to move among the others. Does nothing where threads cannot be placed.
class Placement {
 public:
  void add(std::thread::native_handle_type worker);

  // Called by the thread that is about to compute; costs a few nanoseconds unless it has moved since the last call.
  void keep_off_callers_cpu();

 private:
  std::vector<std::thread::native_handle_type> workers_;
  int callers_cpu_ = -1;  // that the workers are off
};

}  // namespace tersor
