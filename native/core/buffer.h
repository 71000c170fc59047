// Reference-counted memory of a backend. Tensors are views of one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/dtype.h"
#include "core/status.h"

extern "C" {
struct tersor_backend;
struct tersor_context;
}

namespace tersor {

// Owns one allocation; counted by memory_use() while it lives. 64-byte aligned, never null (not even for 0 bytes).
class Buffer {
 public:
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  const tersor_backend* backend() const { return backend_; }

  // Uninitialised memory; on failure the status of the backend's allocate and *out as it was.
  static tersor_status allocate(const tersor_backend* backend, tersor_context* context, size_t bytes,
                                std::shared_ptr<Buffer>* out);

 private:
  Buffer(const tersor_backend* backend, void* data, size_t bytes);

  const tersor_backend* backend_;
  void* data_;
  size_t bytes_;
};

// Bytes of a row-major tensor. Negative dimensions, ranks outside 0..TERSOR_MAX_RANK and sizes past 2^62 bytes are
// errors.
tersor_status tensor_bytes(tersor_context* context, tersor_dtype dtype, int32_t rank, const int64_t* shape,
                           size_t* out);

struct MemoryUse {
  int64_t buffers;
  int64_t bytes;
};

// Buffers alive in this process, on all backends and threads.
MemoryUse memory_use();

}  // namespace tersor
