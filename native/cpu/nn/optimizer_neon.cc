#include "cpu/nn/optimizer_loops.h"
#include "cpu/vector/vector_neon.h"

namespace tersor::cpu {

const OptimizerSpans& optimizer_neon() {
  static constexpr OptimizerSpans kLoops = optimizer_spans<NeonVector>();
  return kLoops;
}

}  // namespace tersor::cpu
