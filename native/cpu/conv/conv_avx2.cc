#include "cpu/conv/conv_loops.h"
#include "cpu/vector/vector_avx2.h"

namespace tersor::cpu {

const ConvKernels& conv_avx2() {
  static constexpr ConvKernels kLoops = conv_loops<Avx2Vector>();
  return kLoops;
}

}  // namespace tersor::cpu
