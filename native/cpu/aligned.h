// Memory of one operation, aligned for vectors; unlike `scratch`, an operation may hold several.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "backend/fail.h"

namespace tersor::cpu {

template <typename T>
class AlignedBuffer {
 public:
  // Uninitialised; earlier contents are lost.
  tersor_status allocate(tersor_context* context, int64_t count) {
    constexpr size_t kAlignment = 64;
    const size_t bytes = (static_cast<size_t>(count) * sizeof(T) + kAlignment) / kAlignment * kAlignment;
    memory_.reset(static_cast<T*>(std::aligned_alloc(kAlignment, bytes)));
    if (memory_ != nullptr) return TERSOR_OK;
    return fail(context, TERSOR_OUT_OF_MEMORY, "expected %zu bytes of working memory, got none", bytes);
  }

  T* data() const { return memory_.get(); }
  T& operator[](int64_t i) const { return memory_.get()[i]; }

 private:
  struct Free {
    void operator()(T* memory) const { std::free(memory); }
  };
  std::unique_ptr<T, Free> memory_;
};

}  // namespace tersor::cpu
