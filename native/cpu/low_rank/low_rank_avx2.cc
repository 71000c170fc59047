#include "cpu/low_rank/low_rank_loops.h"
#include "cpu/vector/vector_avx2.h"

namespace tersor::cpu {

const LowRankKernels& low_rank_avx2() {
  static constexpr LowRankKernels kLoops = low_rank_loops<Avx2Vector>();
  return kLoops;
}

}  // namespace tersor::cpu
