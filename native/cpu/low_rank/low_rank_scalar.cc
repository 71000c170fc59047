#include "cpu/low_rank/low_rank_loops.h"
#include "cpu/vector/vector_scalar.h"

namespace tersor::cpu {

const LowRankKernels& low_rank_scalar() {
  static constexpr LowRankKernels kLoops = low_rank_loops<BaselineVector>();
  return kLoops;
}

}  // namespace tersor::cpu
