#include "cpu/compress/second_order_tile.h"

namespace tersor::cpu {

const SecondOrderKernels& second_order_scalar() { return kSecondOrder; }

}  // namespace tersor::cpu
