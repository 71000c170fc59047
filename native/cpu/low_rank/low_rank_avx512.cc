#include "cpu/low_rank/low_rank_loops.h"
#include "cpu/vector/vector_avx512.h"

namespace tersor::cpu {

const LowRankKernels& low_rank_avx512() {
  static constexpr LowRankKernels kLoops = low_rank_loops<Avx512Vector>();
  return kLoops;
}

}  // namespace tersor::cpu
