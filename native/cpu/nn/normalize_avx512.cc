#include "cpu/nn/normalize_loops.h"
#include "cpu/vector/vector_avx512.h"

namespace tersor::cpu {

const NormalizeRows& normalize_avx512() {
  static constexpr NormalizeRows kLoops = normalize_rows<Avx512Vector>();
  return kLoops;
}

}  // namespace tersor::cpu
