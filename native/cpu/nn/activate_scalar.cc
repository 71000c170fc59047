#include "cpu/nn/activate_loops.h"

namespace tersor::cpu {

const ActivateSpan& activate_scalar() { return kActivateSpan; }

}  // namespace tersor::cpu
