#include "cpu/attention/attention_loops.h"
#include "cpu/vector/vector_scalar.h"

namespace tersor::cpu {

const AttentionKernels& attention_scalar() {
  static constexpr AttentionKernels kLoops = attention_loops<BaselineVector>();
  return kLoops;
}

}  // namespace tersor::cpu
