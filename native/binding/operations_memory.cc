// fill, cast, copy and random numbers.
#include <cmath>

#include "binding/operation.h"
#include "core/dtype.h"

namespace tersor::binding {
namespace {

auto fill(Arguments& in) {
  const Operand y = in.output("y", kByteSized);
  const double value = in.any_number("value");
  const tersor_dtype dtype = y.tensor().dtype;
  const bool real = dtype == TERSOR_F32 || dtype == TERSOR_F16 || dtype == TERSOR_BF16;
  if (!real && !std::isfinite(value)) {
    in.fail(TERSOR_NOT_FINITE, std::string("expected value to be finite for dtype ") + name_of(dtype) + ", got " +
                                   (std::isnan(value) ? "NaN" : "an infinity"));
  }
  return [y = y.tensor(), value](const tersor_backend& backend, tersor_context* context) {
    return backend.fill(context, &y, value);
  };
}

auto cast(Arguments& in) {
  constexpr DTypes kCastable = set_of({TERSOR_F16, TERSOR_BF16, TERSOR_I8, TERSOR_U8, TERSOR_I32});
  const Operand x = in.input("x", kF32 | kCastable);
  const Operand y = in.output("y", x.tensor().dtype == TERSOR_F32 ? kCastable : kF32);
  in.expect_same_shape(y, x);
  return [x = x.tensor(), y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.cast(context, &x, &y);
  };
}

auto copy(Arguments& in) {
  const Operand from = in.input("from", kAnyDType);
  const Operand to = in.output("to", set_of({from.tensor().dtype}));
  in.expect_same_shape(to, from);
  return [from = from.tensor(), to = to.tensor(), bytes = from.handle->memory->buffer->bytes()](
             const tersor_backend& backend, tersor_context* context) {
    return backend.copy(context, to.data, from.data, bytes);
  };
}

auto random_uniform(Arguments& in) {
  const uint64_t seed = in.unsigned64("seed");
  const uint64_t offset = in.unsigned64("offset");
  const float low = in.finite("low");
  const float high = in.finite("high");
  if (low > high || !std::isfinite(high - low)) {
    in.fail(TERSOR_OUT_OF_RANGE, "expected low <= high with a difference of f32's range, got " + std::to_string(low) +
                                     " and " + std::to_string(high));
  }
  const Operand y = in.output("y", kF32);
  return [=, y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.random_uniform(context, seed, offset, low, high, &y);
  };
}

auto random_normal(Arguments& in) {
  const uint64_t seed = in.unsigned64("seed");
  const uint64_t offset = in.unsigned64("offset");
  const float mean = in.finite("mean");
  const float deviation = in.non_negative("deviation");
  const Operand y = in.output("y", kF32);
  return [=, y = y.tensor()](const tersor_backend& backend, tersor_context* context) {
    return backend.random_normal(context, seed, offset, mean, deviation, &y);
  };
}

constexpr Operation kOperations[] = {
    operation<fill>("fill", 2),
    operation<cast>("cast", 2),
    operation<copy>("copy", 2),
    operation<random_uniform>("randomUniform", 5),
    operation<random_normal>("randomNormal", 5),
};

}  // namespace

std::span<const Operation> memory_operations() { return kOperations; }

}  // namespace tersor::binding
