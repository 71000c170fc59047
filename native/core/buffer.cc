#include "core/buffer.h"

#include <atomic>
#include <new>

#include "backend/backend.h"
#include "backend/fail.h"

namespace tersor {
namespace {

std::atomic<int64_t> live_buffers{0};
std::atomic<int64_t> live_bytes{0};

constexpr int64_t kMaxBytes = int64_t{1} << 62;

}  // namespace

Buffer::Buffer(const tersor_backend* backend, void* data, size_t bytes)
    : backend_(backend), data_(data), bytes_(bytes) {
  live_buffers.fetch_add(1, std::memory_order_relaxed);
  live_bytes.fetch_add(static_cast<int64_t>(bytes), std::memory_order_relaxed);
}

Buffer::~Buffer() {
  backend_->release(data_, bytes_);
  live_buffers.fetch_sub(1, std::memory_order_relaxed);
  live_bytes.fetch_sub(static_cast<int64_t>(bytes_), std::memory_order_relaxed);
}

tersor_status Buffer::allocate(const tersor_backend* backend, tersor_context* context, size_t bytes,
                               std::shared_ptr<Buffer>* out) {
  void* data = nullptr;
  if (const tersor_status status = backend->allocate(context, bytes, &data); status != TERSOR_OK) return status;
  Buffer* buffer = nullptr;
  try {
    buffer = new Buffer(backend, data, bytes);
    out->reset(buffer);  // deletes `buffer` itself when its control block cannot be had
  } catch (const std::bad_alloc&) {
    if (buffer == nullptr) backend->release(data, bytes);
    return fail(context, TERSOR_OUT_OF_MEMORY, "expected memory for a buffer of %zu bytes, got none", bytes);
  }
  return TERSOR_OK;
}

tersor_status tensor_bytes(tersor_context* context, tersor_dtype dtype, int32_t rank, const int64_t* shape,
                           size_t* out) {
  if (rank < 0 || rank > TERSOR_MAX_RANK) {
    return fail(context, TERSOR_INVALID_SHAPE, "expected a rank in [0, %d], got %d", static_cast<int>(TERSOR_MAX_RANK),
                rank);
  }
  if (static_cast<int>(dtype) < 0 || static_cast<int>(dtype) >= TERSOR_DTYPE_COUNT) {
    return fail(context, TERSOR_INVALID_DTYPE, "expected a dtype in [0, %d), got %d",
                static_cast<int>(TERSOR_DTYPE_COUNT), static_cast<int>(dtype));
  }
  // A scalar is one row of one element.
  const int64_t columns = rank == 0 ? 1 : shape[rank - 1];
  bool fits = columns < kMaxBytes / 64;
  bool empty = columns == 0;
  int64_t bytes = fits && columns >= 0 ? row_bytes(dtype, columns) : 0;
  for (int i = 0; i < rank; ++i) {
    if (shape[i] < 0) {
      return fail(context, TERSOR_INVALID_SHAPE, "expected dimensions >= 0, got %lld, at dimension %d",
                  static_cast<long long>(shape[i]), i);
    }
    empty |= shape[i] == 0;
    if (i + 1 < rank && fits) fits = !__builtin_mul_overflow(bytes, shape[i], &bytes) && bytes <= kMaxBytes;
  }
  if (empty) {
    *out = 0;
    return TERSOR_OK;
  }
  if (!fits) return fail(context, TERSOR_OUT_OF_MEMORY, "expected a tensor of at most 2^62 bytes, got more");
  *out = static_cast<size_t>(bytes);
  return TERSOR_OK;
}

MemoryUse memory_use() {
  return {live_buffers.load(std::memory_order_relaxed), live_bytes.load(std::memory_order_relaxed)};
}

}  // namespace tersor
