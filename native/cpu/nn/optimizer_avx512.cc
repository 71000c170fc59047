#include "cpu/nn/optimizer_loops.h"
#include "cpu/vector/vector_avx512.h"

namespace tersor::cpu {

const OptimizerSpans& optimizer_avx512() {
  static constexpr OptimizerSpans kLoops = optimizer_spans<Avx512Vector>();
  return kLoops;
}

}  // namespace tersor::cpu
