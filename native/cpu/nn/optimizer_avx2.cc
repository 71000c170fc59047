#include "cpu/nn/optimizer_loops.h"
#include "cpu/vector/vector_avx2.h"

namespace tersor::cpu {

const OptimizerSpans& optimizer_avx2() {
  static constexpr OptimizerSpans kLoops = optimizer_spans<Avx2Vector>();
  return kLoops;
}

}  // namespace tersor::cpu
