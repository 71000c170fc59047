#include "cpu/conv/conv_loops.h"
#include "cpu/vector/vector_avx512.h"

namespace tersor::cpu {

const ConvKernels& conv_avx512() {
  static constexpr ConvKernels kLoops = conv_loops<Avx512Vector>();
  return kLoops;
}

}  // namespace tersor::cpu
