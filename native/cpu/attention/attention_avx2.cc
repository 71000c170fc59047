#include "cpu/attention/attention_loops.h"
#include "cpu/vector/vector_avx2.h"

namespace tersor::cpu {

const AttentionKernels& attention_avx2() {
  static constexpr AttentionKernels kLoops = attention_loops<Avx2Vector>();
  return kLoops;
}

}  // namespace tersor::cpu
