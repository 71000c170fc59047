#include "cpu/nn/normalize_loops.h"
#include "cpu/vector/vector_neon.h"

namespace tersor::cpu {

const NormalizeRows& normalize_neon() {
  static constexpr NormalizeRows kLoops = normalize_rows<NeonVector>();
  return kLoops;
}

}  // namespace tersor::cpu
