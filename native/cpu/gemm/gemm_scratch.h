// Memory for packed operands.
#pragma once

#include <cstdint>

namespace tersor::cpu {

// At least `floats` that the calling thread keeps between calls (small products must not pay for an allocation), valid
// until its next call; 64-byte aligned. Null when there is no memory.
float* packing_scratch(int64_t floats);

}  // namespace tersor::cpu
