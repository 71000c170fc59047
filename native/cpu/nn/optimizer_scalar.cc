#include "cpu/nn/optimizer_loops.h"
#include "cpu/vector/vector_scalar.h"

namespace tersor::cpu {

const OptimizerSpans& optimizer_scalar() {
  static constexpr OptimizerSpans kLoops = optimizer_spans<BaselineVector>();
  return kLoops;
}

}  // namespace tersor::cpu
