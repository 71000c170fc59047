#include "cpu/conv/conv_loops.h"
#include "cpu/vector/vector_scalar.h"

namespace tersor::cpu {

const ConvKernels& conv_scalar() {
  static constexpr ConvKernels kLoops = conv_loops<BaselineVector>();
  return kLoops;
}

}  // namespace tersor::cpu
