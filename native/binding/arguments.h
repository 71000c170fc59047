// Typed reading of a JavaScript call's arguments, left to right. Whatever does not fit throws an Error that names the
// operation, the argument, what was expected and what came.
#pragma once

#include <node_api.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "binding/environment.h"
#include "binding/error.h"
#include "binding/handle.h"

namespace tersor::binding {

using DTypes = uint32_t;  // a set, one bit per dtype
constexpr DTypes set_of(std::initializer_list<tersor_dtype> dtypes) {
  DTypes set = 0;
  for (const tersor_dtype dtype : dtypes) set |= DTypes{1} << dtype;
  return set;
}
inline constexpr DTypes kF32 = set_of({TERSOR_F32});
inline constexpr DTypes kF16 = set_of({TERSOR_F16});
inline constexpr DTypes kBF16 = set_of({TERSOR_BF16});
inline constexpr DTypes kI8 = set_of({TERSOR_I8});
inline constexpr DTypes kU8 = set_of({TERSOR_U8});
inline constexpr DTypes kI32 = set_of({TERSOR_I32});
inline constexpr DTypes kU32 = set_of({TERSOR_U32});
inline constexpr DTypes kI64 = set_of({TERSOR_I64});
inline constexpr DTypes kU4 = set_of({TERSOR_U4});
inline constexpr DTypes kPacked = set_of({TERSOR_U1, TERSOR_U2, TERSOR_U3, TERSOR_U4});
inline constexpr DTypes kAnyDType = (DTypes{1} << TERSOR_DTYPE_COUNT) - 1;
inline constexpr DTypes kByteSized = kAnyDType & ~kPacked;

inline constexpr int kAnyRank = -1;
inline constexpr int64_t kAny = -1;  // a dimension that is free
inline constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

// A tensor argument. Valid during the call only; tensor() is what outlives it.
struct Operand {
  const char* name;
  const Handle* handle;
  const tersor_tensor& tensor() const { return handle->tensor; }
  int rank() const { return tensor().rank; }
  int64_t dim(int i) const { return tensor().shape[i]; }
};

// A tensor that may be absent, as the backend wants it.
struct OptionalTensor {
  bool present;
  tersor_tensor value;
  const tersor_tensor* get() const { return present ? &value : nullptr; }
};

struct OptionalOperand {
  bool present;
  Operand operand;
  OptionalTensor tensor() const { return present ? OptionalTensor{true, operand.tensor()} : OptionalTensor{false, {}}; }
};

enum class Access { read, write, update };

// A tensor argument and what the operation does with it.
struct Use {
  Operand operand;
  Access access;
};

std::string describe(napi_env env, napi_value value);

class Arguments {
 public:
  static constexpr size_t kMaxCount = 24;

  Arguments(napi_env env, const char* operation, const napi_value* values, size_t count);

  napi_env env() const { return env_; }
  Environment& environment() const { return environment_; }
  const char* operation() const { return operation_; }
  // Exactly `count`, or up to `more` besides.
  void expect_count(size_t count, size_t more = 0) const;

  // --- tensors -----------------------------------------------------------------------------------------------------
  Operand input(const char* name, DTypes dtypes, int rank = kAnyRank);
  OptionalOperand optional_input(const char* name, DTypes dtypes, int rank = kAnyRank);
  // Written whole, never read; may share memory only with the operands of `in_place`.
  Operand output(const char* name, DTypes dtypes, std::initializer_list<Operand> in_place = {});
  OptionalOperand optional_output(const char* name, DTypes dtypes);
  // Read and written.
  Operand update(const char* name, DTypes dtypes, int rank = kAnyRank);
  OptionalOperand optional_update(const char* name, DTypes dtypes);
  // Elements of an array of any length. Of all arrays of a call before the first is checked: a getter in one must not
  // change what has been checked in another.
  std::vector<napi_value> elements(const char* name);
  // Tensors among such elements.
  std::vector<Operand> inputs(const char* name, const std::vector<napi_value>& elements, DTypes dtypes);
  std::vector<Operand> updates(const char* name, const std::vector<napi_value>& elements, DTypes dtypes);
  // The handle itself, whatever jobs are doing with its memory; released ones too when `released_too`.
  Handle& handle(const char* name, bool released_too = false);

  // kAny dimensions are free. `matching` are named in the error: "... to match a [32, 784]".
  void expect_shape(const Operand& operand, std::initializer_list<int64_t> shape,
                    std::initializer_list<Operand> matching = {}) const;
  void expect_shape(const OptionalOperand& operand, std::initializer_list<int64_t> shape,
                    std::initializer_list<Operand> matching = {}) const;
  void expect_same_shape(const Operand& operand, const Operand& as) const;
  void expect_same_shape(const OptionalOperand& operand, const Operand& as) const;

  std::span<const Use> uses() const {
    return many_uses_.empty() ? std::span<const Use>(uses_.data(), use_count_) : std::span<const Use>(many_uses_);
  }
  const tersor_backend& backend() const;

  // --- plain values ------------------------------------------------------------------------------------------------
  napi_value value() { return values_[next_++]; }
  bool boolean(const char* name);
  int64_t integer(const char* name, int64_t low, int64_t high);
  int32_t choice(const char* name, int32_t small, int32_t large);  // one of the two
  uint64_t unsigned64(const char* name);
  double any_number(const char* name);   // NaN and infinities too
  float finite(const char* name);        // fits f32
  float positive(const char* name);      // > 0
  float non_negative(const char* name);  // >= 0
  float below_one(const char* name);     // [0, 1)
  tersor_activation activation();
  std::string text(const char* name);  // at most 255 bytes
  // Every value that is left is a dimension; returns the rank.
  int32_t dimensions(int64_t (&shape)[TERSOR_MAX_RANK]);

  [[noreturn]] void fail(const char* code, const std::string& message) const;
  [[noreturn]] void fail(tersor_status status, const std::string& message) const { fail(code_of(status), message); }

 private:
  Handle& handle_of(const char* name, napi_value given, bool released_too) const;
  Operand operand(const char* name, napi_value given, DTypes dtypes, int rank, Access access,
                  std::initializer_list<Operand> in_place);
  std::vector<Operand> operands(const char* name, const std::vector<napi_value>& elements, DTypes dtypes,
                                Access access);
  void expect_disjoint(const Operand& operand, Access access, std::initializer_list<Operand> in_place) const;
  void expect_idle(const Operand& operand, Access access) const;
  bool skip_null();
  float f32(const char* name, double low, bool low_included, double high, const char* range);

  napi_env env_;
  Environment& environment_;
  const char* operation_;
  const napi_value* values_;
  size_t count_;
  const uint64_t call_;
  size_t next_ = 0;
  size_t use_count_ = 0;
  std::array<Use, 16> uses_;
  std::vector<Use> many_uses_;  // all of them, once there are more than usual
};

}  // namespace tersor::binding
