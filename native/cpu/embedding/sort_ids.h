// Look-ups in the order of their rows.
#pragma once

#include <cstdint>

namespace tersor::cpu {

// positions[0..count) such that ids[positions[i]] never decreases and equal ids keep their order. `spare` holds `count`
// more numbers. ids are in [0, rows).
void sort_by_id(const int32_t* ids, int64_t count, int64_t rows, int32_t* positions, int32_t* spare);

}  // namespace tersor::cpu
