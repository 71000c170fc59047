// Guarded tensors by element type, and a context to call operations with.
#pragma once

#include <type_traits>
#include <vector>

#include "support.h"

namespace tersor::test {

// f32, i32, i64, u32, i8 or u8 by its C++ type; bit-packed when a dtype says so.
template <typename T>
class Typed : public Tensor {
 public:
  explicit Typed(const Shape& shape, tersor_dtype dtype = kDtype) : Tensor(dtype, shape) {}
  Typed(const Shape& shape, const std::vector<T>& values, tersor_dtype dtype = kDtype) : Tensor(dtype, shape, values) {}

  T& operator[](size_t i) const { return data<T>()[i]; }
  std::vector<T> values() const { return Tensor::values<T>(); }

 private:
  static constexpr tersor_dtype kDtype = std::is_same_v<T, float>     ? TERSOR_F32
                                         : std::is_same_v<T, int8_t>  ? TERSOR_I8
                                         : std::is_same_v<T, uint8_t> ? TERSOR_U8
                                         : std::is_same_v<T, int32_t> ? TERSOR_I32
                                         : std::is_same_v<T, int64_t> ? TERSOR_I64
                                                                      : TERSOR_U32;
};

using F32 = Typed<float>;
using I32 = Typed<int32_t>;
using I64 = Typed<int64_t>;
using U32 = Typed<uint32_t>;

// A context whose cancel flag the test can raise.
struct Context : tersor_context {
  volatile int32_t flag = 0;
  Context() : tersor_context{} { cancel = &flag; }
};

inline std::vector<float> uniform(int64_t count, uint32_t seed, double low = -1, double high = 1) {
  return Random(seed).uniforms<float>(count, low, high);
}

inline constexpr double kEpsilon = 0x1p-24;  // half a unit in the last place of 1.0f

}  // namespace tersor::test
