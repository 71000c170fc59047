#include "cpu/scratch.h"

#include <cstdlib>
#include <memory>

#include "backend/fail.h"

namespace tersor::cpu {
namespace {

constexpr size_t kAlignment = 64;

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

struct Scratch {
  std::unique_ptr<void, Free> memory;
  size_t bytes = 0;
};

thread_local Scratch of_call, of_chunk, of_operand, of_copy;

tersor_status grow(tersor_context* context, Scratch& own, size_t bytes, void** out) {
  if (bytes > own.bytes) {
    own = {};
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    own.memory.reset(std::aligned_alloc(kAlignment, rounded));
    if (own.memory == nullptr) {
      return fail(context, TERSOR_OUT_OF_MEMORY, "expected %zu bytes of working memory, got none", rounded);
    }
    own.bytes = rounded;
  }
  *out = own.memory.get();
  return TERSOR_OK;
}

}  // namespace

tersor_status scratch(tersor_context* context, size_t bytes, void** out) { return grow(context, of_call, bytes, out); }

tersor_status chunk_scratch(tersor_context* context, size_t bytes, void** out) {
  return grow(context, of_chunk, bytes, out);
}

tersor_status operand_scratch(tersor_context* context, size_t bytes, void** out) {
  return grow(context, of_operand, bytes, out);
}

tersor_status copy_scratch(tersor_context* context, size_t bytes, void** out) {
  return grow(context, of_copy, bytes, out);
}

}  // namespace tersor::cpu
