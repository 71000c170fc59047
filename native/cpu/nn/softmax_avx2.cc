#include "cpu/nn/softmax_loops.h"
#include "cpu/vector/vector_avx2.h"

namespace tersor::cpu {

const SoftmaxRows& softmax_avx2() {
  static constexpr SoftmaxRows kLoops = softmax_rows<Avx2Vector>();
  return kLoops;
}

}  // namespace tersor::cpu
