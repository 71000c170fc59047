#include "cpu/compress/second_order_tile.h"

namespace tersor::cpu {

const SecondOrderKernels& second_order_neon() { return kSecondOrder; }

}  // namespace tersor::cpu
