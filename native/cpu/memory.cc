// Host memory: allocation, copies, fill and casts.
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstdlib>
#include <cstring>

#include "backend/fail.h"
#include "core/cpu_features.h"
#include "core/saturate.h"
#include "core/thread_pool.h"
#include "cpu/operations.h"
#include "cpu/parallel.h"
#include "cpu/view.h"

namespace tersor::cpu {
namespace {

constexpr size_t kAlignment = 64;
// From here on pages of 2 MiB are asked for: reading a weight from memory is up to twice as fast with fewer pages to
// translate. Smaller buffers stay in pages that the translation caches hold.
constexpr size_t kFewestBytesForHugePages = size_t{4} << 20;
constexpr size_t kHugePage = size_t{2} << 20;

// Null when there is no memory.
void* aligned_memory(size_t bytes) {
#if defined(__linux__)
  if (bytes >= kFewestBytesForHugePages) {
    void* data = nullptr;
    if (posix_memalign(&data, kHugePage, bytes) != 0) return nullptr;
    // Whole pages only, so that no memory is taken that was not asked for. A wish: a kernel may refuse it.
    madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
    return data;
  }
#endif
  const size_t rounded = bytes == 0 ? kAlignment : (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return std::aligned_alloc(kAlignment, rounded);
}

template <typename T>
void fill_range(void* data, int64_t begin, int64_t end, double value) {
  const T converted = saturated<T>(value);
  T* y = static_cast<T*>(data);
  for (int64_t i = begin; i < end; ++i) y[i] = converted;
}

void fill_range(tersor_dtype dtype, void* data, int64_t begin, int64_t end, double value) {
  switch (dtype) {
    case TERSOR_F32:
      return fill_range<float>(data, begin, end, value);
    case TERSOR_F16:
      return fill_range<Half>(data, begin, end, value);
    case TERSOR_BF16:
      return fill_range<Bfloat>(data, begin, end, value);
    case TERSOR_I8:
      return fill_range<int8_t>(data, begin, end, value);
    case TERSOR_U8:
      return fill_range<uint8_t>(data, begin, end, value);
    case TERSOR_I32:
      return fill_range<int32_t>(data, begin, end, value);
    case TERSOR_U32:
      return fill_range<uint32_t>(data, begin, end, value);
    default:
      return fill_range<int64_t>(data, begin, end, value);
  }
}

template <typename From, typename To>
tersor_status cast_elements(tersor_context* context, const tersor_tensor* x, const tersor_tensor* y) {
  const auto* from = data_of<const From>(x);
  auto* to = data_of<To>(y);
  return for_chunks(context, elements_of(x), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = converted<To>(from[i]);
  });
}

}  // namespace

tersor_status allocate(tersor_context* context, size_t bytes, void** out) {
  // Every use of this backend starts here, so a wish in the environment that cannot be granted is never passed over.
  for (const char* error : {isa_error(), thread_count_error()}) {
    if (*error != '\0') return fail(context, TERSOR_INVALID_ARGUMENT, "%s", error);
  }
  void* data = bytes <= SIZE_MAX / 2 ? aligned_memory(bytes) : nullptr;
  if (data == nullptr) return fail(context, TERSOR_OUT_OF_MEMORY, "expected %zu bytes of memory, got none", bytes);
  *out = data;
  return TERSOR_OK;
}

void release(void* data, size_t) { std::free(data); }

tersor_status upload(tersor_context*, void* device, const void* host, size_t bytes) {
  if (bytes != 0) std::memcpy(device, host, bytes);
  return TERSOR_OK;
}

tersor_status download(tersor_context*, void* host, const void* device, size_t bytes) {
  if (bytes != 0) std::memcpy(host, device, bytes);
  return TERSOR_OK;
}

tersor_status copy(tersor_context*, void* to, const void* from, size_t bytes) {
  if (bytes != 0) std::memcpy(to, from, bytes);
  return TERSOR_OK;
}

tersor_status fill(tersor_context* context, const tersor_tensor* y, double value) {
  if (is_bit_packed(y->dtype)) {
    return fail(context, TERSOR_INVALID_DTYPE, "expected a dtype of whole bytes, got %s, at fill", name_of(y->dtype));
  }
  return for_chunks(context, elements_of(y), kGrain,
                    [&](int64_t begin, int64_t end) { fill_range(y->dtype, y->data, begin, end, value); });
}

tersor_status cast(tersor_context* context, const tersor_tensor* x, const tersor_tensor* y) {
  if (x->dtype == TERSOR_F32) {
    switch (y->dtype) {
      case TERSOR_F32:
        return cast_elements<float, float>(context, x, y);
      case TERSOR_F16:
        return cast_elements<float, Half>(context, x, y);
      case TERSOR_BF16:
        return cast_elements<float, Bfloat>(context, x, y);
      case TERSOR_I8:
        return cast_elements<float, int8_t>(context, x, y);
      case TERSOR_U8:
        return cast_elements<float, uint8_t>(context, x, y);
      case TERSOR_I32:
        return cast_elements<float, int32_t>(context, x, y);
      default:
        break;
    }
  } else if (y->dtype == TERSOR_F32) {
    switch (x->dtype) {
      case TERSOR_F16:
        return cast_elements<Half, float>(context, x, y);
      case TERSOR_BF16:
        return cast_elements<Bfloat, float>(context, x, y);
      case TERSOR_I8:
        return cast_elements<int8_t, float>(context, x, y);
      case TERSOR_U8:
        return cast_elements<uint8_t, float>(context, x, y);
      case TERSOR_I32:
        return cast_elements<int32_t, float>(context, x, y);
      default:
        break;
    }
  }
  return fail(context, TERSOR_INVALID_DTYPE, "expected f32 to or from f16, bf16, i8, u8 or i32, got %s to %s, at cast",
              name_of(x->dtype), name_of(y->dtype));
}

}  // namespace tersor::cpu
