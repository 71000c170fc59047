#include "cpu/nn/softmax_loops.h"
#include "cpu/vector/vector_scalar.h"

namespace tersor::cpu {

const SoftmaxRows& softmax_scalar() {
  static constexpr SoftmaxRows kLoops = softmax_rows<BaselineVector>();
  return kLoops;
}

}  // namespace tersor::cpu
