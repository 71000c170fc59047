#include "cpu/attention/attention_loops.h"
#include "cpu/vector/vector_neon.h"

namespace tersor::cpu {

const AttentionKernels& attention_neon() {
  static constexpr AttentionKernels kLoops = attention_loops<NeonVector>();
  return kLoops;
}

}  // namespace tersor::cpu
