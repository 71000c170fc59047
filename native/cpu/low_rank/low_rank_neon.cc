#include "cpu/low_rank/low_rank_loops.h"
#include "cpu/vector/vector_neon.h"

namespace tersor::cpu {

const LowRankKernels& low_rank_neon() {
  static constexpr LowRankKernels kLoops = low_rank_loops<NeonVector>();
  return kLoops;
}

}  // namespace tersor::cpu
