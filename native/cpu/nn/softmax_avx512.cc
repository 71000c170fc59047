#include "cpu/nn/softmax_loops.h"
#include "cpu/vector/vector_avx512.h"

namespace tersor::cpu {

const SoftmaxRows& softmax_avx512() {
  static constexpr SoftmaxRows kLoops = softmax_rows<Avx512Vector>();
  return kLoops;
}

}  // namespace tersor::cpu
