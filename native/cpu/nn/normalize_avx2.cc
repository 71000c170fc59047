#include "cpu/nn/normalize_loops.h"
#include "cpu/vector/vector_avx2.h"

namespace tersor::cpu {

const NormalizeRows& normalize_avx2() {
  static constexpr NormalizeRows kLoops = normalize_rows<Avx2Vector>();
  return kLoops;
}

}  // namespace tersor::cpu
