#include "cpu/nn/activate_loops.h"

namespace tersor::cpu {

const ActivateSpan& activate_avx2() { return kActivateSpan; }

}  // namespace tersor::cpu
