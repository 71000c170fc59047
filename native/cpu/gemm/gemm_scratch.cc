#include "cpu/gemm/gemm_scratch.h"

#include <cstdlib>
#include <memory>

#include "cpu/gemm/gemm_layout.h"

namespace tersor::cpu {
namespace {

struct Free {
  void operator()(float* memory) const { std::free(memory); }
};

// Apart from cpu/scratch.h, whose memory an operation may hold while it multiplies.
thread_local std::unique_ptr<float, Free> memory;
thread_local int64_t memory_floats = 0;

}  // namespace

float* packing_scratch(int64_t floats) {
  if (floats > memory_floats) {
    memory.reset();
    memory_floats = 0;
    const auto bytes = static_cast<size_t>(round_up(floats * static_cast<int64_t>(sizeof(float)), 4096));
    memory.reset(static_cast<float*>(std::aligned_alloc(64, bytes)));
    if (memory != nullptr) memory_floats = floats;
  }
  return memory.get();
}

}  // namespace tersor::cpu
