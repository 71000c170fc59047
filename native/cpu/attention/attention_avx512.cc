#include "cpu/attention/attention_loops.h"
#include "cpu/vector/vector_avx512.h"

namespace tersor::cpu {

const AttentionKernels& attention_avx512() {
  static constexpr AttentionKernels kLoops = attention_loops<Avx512Vector>();
  return kLoops;
}

}  // namespace tersor::cpu
