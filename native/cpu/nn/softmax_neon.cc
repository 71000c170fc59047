#include "cpu/nn/softmax_loops.h"
#include "cpu/vector/vector_neon.h"

namespace tersor::cpu {

const SoftmaxRows& softmax_neon() {
  static constexpr SoftmaxRows kLoops = softmax_rows<NeonVector>();
  return kLoops;
}

}  // namespace tersor::cpu
