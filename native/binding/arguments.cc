#include "binding/arguments.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>

namespace tersor::binding {
namespace {

thread_local uint64_t calls_on_this_thread = 0;

std::string shape_text(const int64_t* shape, size_t rank) {
  std::string text = "[";
  for (size_t i = 0; i < rank; ++i) {
    if (i > 0) text += ", ";
    text += shape[i] == kAny ? "?" : std::to_string(shape[i]);
  }
  return text + "]";
}

std::string shape_text(const Operand& operand) {
  return shape_text(operand.tensor().shape, static_cast<size_t>(operand.rank()));
}

std::string dtypes_text(DTypes dtypes) {
  std::string text;
  for (int i = 0; i < TERSOR_DTYPE_COUNT; ++i) {
    if ((dtypes >> i & 1) == 0) continue;
    if (!text.empty()) text += " or ";
    text += name_of(static_cast<tersor_dtype>(i));
  }
  return text;
}

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

}  // namespace

std::string describe(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  check(napi_typeof(env, value, &type));
  switch (type) {
    case napi_undefined:
      return "undefined";
    case napi_null:
      return "null";
    case napi_boolean: {
      bool truth = false;
      check(napi_get_value_bool(env, value, &truth));
      return truth ? "true" : "false";
    }
    case napi_number: {
      double number = 0;
      check(napi_get_value_double(env, value, &number));
      return number_text(number);
    }
    case napi_string: {
      char text[41];  // enough to recognise it
      size_t length = 0;
      check(napi_get_value_string_utf8(env, value, text, sizeof text, &length));
      return '"' + std::string(text, length) + (length + 1 == sizeof text ? "...\"" : "\"");
    }
    case napi_symbol:
      return "a symbol";
    case napi_function:
      return "a function";
    case napi_bigint:
      return "a bigint";
    case napi_external:
      return "a handle of another kind";
    case napi_object:
      break;
  }
  return "an object";
}

Arguments::Arguments(napi_env env, const char* operation, const napi_value* values, size_t count)
    : env_(env),
      environment_(Environment::of(env)),
      operation_(operation),
      values_(values),
      count_(count),
      call_(++calls_on_this_thread) {}

void Arguments::fail(const char* code, const std::string& message) const {
  throw Error{code, std::string(operation_) + ": " + message};
}

void Arguments::expect_count(size_t count, size_t more) const {
  if (count_ >= count && count_ <= count + more) return;
  const std::string range = more == 0 ? "" : " to " + std::to_string(count + more);
  fail(TERSOR_INVALID_ARGUMENT, "expected " + std::to_string(count) + range +
                                    (count + more == 1 ? " argument" : " arguments") + ", got " +
                                    std::to_string(count_));
}

// --- tensors ---------------------------------------------------------------------------------------------------------

Handle& Arguments::handle(const char* name, bool released_too) { return handle_of(name, value(), released_too); }

Handle& Arguments::handle_of(const char* name, napi_value given, bool released_too) const {
  Handle* found = find_tensor(env_, environment_, given);
  if (found == nullptr) {
    fail(TERSOR_INVALID_ARGUMENT, std::string("expected ") + name + " to be a tensor, got " + describe(env_, given));
  }
  if (found->memory == nullptr && !released_too) {
    fail(kDisposed, std::string("expected a live tensor, got one that was disposed, at ") + name);
  }
  return *found;
}

Operand Arguments::input(const char* name, DTypes dtypes, int rank) {
  return operand(name, value(), dtypes, rank, Access::read, {});
}

Operand Arguments::output(const char* name, DTypes dtypes, std::initializer_list<Operand> in_place) {
  return operand(name, value(), dtypes, kAnyRank, Access::write, in_place);
}

Operand Arguments::update(const char* name, DTypes dtypes, int rank) {
  return operand(name, value(), dtypes, rank, Access::update, {});
}

OptionalOperand Arguments::optional_input(const char* name, DTypes dtypes, int rank) {
  return skip_null() ? OptionalOperand{false, {}} : OptionalOperand{true, input(name, dtypes, rank)};
}

OptionalOperand Arguments::optional_output(const char* name, DTypes dtypes) {
  return skip_null() ? OptionalOperand{false, {}} : OptionalOperand{true, output(name, dtypes)};
}

OptionalOperand Arguments::optional_update(const char* name, DTypes dtypes) {
  return skip_null() ? OptionalOperand{false, {}} : OptionalOperand{true, update(name, dtypes)};
}

bool Arguments::skip_null() {
  napi_valuetype type = napi_undefined;
  check(napi_typeof(env_, values_[next_], &type));
  if (type != napi_null) return false;
  ++next_;
  return true;
}

std::vector<napi_value> Arguments::elements(const char* name) {
  const napi_value list = value();
  bool is_array = false;
  check(napi_is_array(env_, list, &is_array));
  if (!is_array) {
    fail(TERSOR_INVALID_ARGUMENT, std::string("expected ") + name + " to be an array, got " + describe(env_, list));
  }
  uint32_t count = 0;
  check(napi_get_array_length(env_, list, &count));
  std::vector<napi_value> result;
  for (uint32_t i = 0; i < count; ++i) check(napi_get_element(env_, list, i, &result.emplace_back()));
  return result;
}

std::vector<Operand> Arguments::inputs(const char* name, const std::vector<napi_value>& elements, DTypes dtypes) {
  return operands(name, elements, dtypes, Access::read);
}

std::vector<Operand> Arguments::updates(const char* name, const std::vector<napi_value>& elements, DTypes dtypes) {
  return operands(name, elements, dtypes, Access::update);
}

std::vector<Operand> Arguments::operands(const char* name, const std::vector<napi_value>& elements, DTypes dtypes,
                                         Access access) {
  std::vector<Operand> result;
  for (const napi_value element : elements) result.push_back(operand(name, element, dtypes, kAnyRank, access, {}));
  return result;
}

Operand Arguments::operand(const char* name, napi_value given, DTypes dtypes, int rank, Access access,
                           std::initializer_list<Operand> in_place) {
  const Operand result{name, &handle_of(name, given, false)};
  const tersor_tensor& tensor = result.tensor();
  if ((dtypes >> tensor.dtype & 1) == 0) {
    fail(TERSOR_INVALID_DTYPE,
         std::string("expected ") + name + " of dtype " + dtypes_text(dtypes) + ", got " + name_of(tensor.dtype));
  }
  if (rank != kAnyRank && rank != tensor.rank) {
    fail(TERSOR_INVALID_SHAPE,
         std::string("expected ") + name + " of rank " + std::to_string(rank) + ", got shape " + shape_text(result));
  }
  expect_idle(result, access);
  expect_disjoint(result, access, in_place);
  if (use_count_ < uses_.size()) {
    uses_[use_count_++] = {result, access};
  } else {
    if (many_uses_.empty()) many_uses_.assign(uses_.begin(), uses_.end());
    many_uses_.push_back({result, access});
  }
  return result;
}

void Arguments::expect_idle(const Operand& operand, Access access) const {
  const Memory& memory = *operand.handle->memory;
  if (memory.writers == 0 && (memory.readers == 0 || access == Access::read)) return;
  fail(TERSOR_INVALID_ARGUMENT, std::string("expected ") + operand.name +
                                    " to be free, got a tensor that a queued operation is " +
                                    (memory.writers > 0 ? "writing" : "reading") + "; await that operation first");
}

void Arguments::expect_disjoint(const Operand& operand, Access access, std::initializer_list<Operand> in_place) const {
  // The first to use its memory on the first operand's device: with long lists the search below would be quadratic.
  Memory& own = *operand.handle->memory;
  const bool first_use = own.call != call_;
  own.call = call_;
  if (first_use && (uses().empty() || own.buffer->backend() == &backend())) return;
  for (const Use& use : uses()) {
    const Memory& memory = *use.operand.handle->memory;
    if (memory.buffer->backend() != operand.handle->memory->buffer->backend()) {
      fail(kDevice, std::string("expected ") + operand.name + " on the same device as " + use.operand.name + ", got " +
                        operand.handle->memory->buffer->backend()->name);
    }
    if (&memory != operand.handle->memory.get() || (access == Access::read && use.access == Access::read)) continue;
    const bool allowed = std::any_of(in_place.begin(), in_place.end(),
                                     [&](const Operand& other) { return other.handle->memory.get() == &memory; });
    if (!allowed) {
      fail(TERSOR_INVALID_ARGUMENT, std::string("expected ") + operand.name + " not to share memory with " +
                                        use.operand.name + ", got the same memory");
    }
  }
}

void Arguments::expect_shape(const Operand& operand, std::initializer_list<int64_t> shape,
                             std::initializer_list<Operand> matching) const {
  const auto fits = [](int64_t expected, int64_t got) { return expected == kAny || expected == got; };
  if (static_cast<size_t>(operand.rank()) == shape.size() &&
      std::equal(shape.begin(), shape.end(), operand.tensor().shape, fits)) {
    return;
  }
  std::string message =
      std::string("expected ") + operand.name + " of shape " + shape_text(shape.begin(), shape.size());
  const char* joint = " to match ";
  for (const Operand& other : matching) {
    message += std::string(joint) + other.name + " " + shape_text(other);
    joint = " and ";
  }
  fail(TERSOR_INVALID_SHAPE, message + ", got " + shape_text(operand));
}

void Arguments::expect_shape(const OptionalOperand& operand, std::initializer_list<int64_t> shape,
                             std::initializer_list<Operand> matching) const {
  if (operand.present) expect_shape(operand.operand, shape, matching);
}

void Arguments::expect_same_shape(const Operand& operand, const Operand& as) const {
  const tersor_tensor& x = operand.tensor();
  const tersor_tensor& y = as.tensor();
  if (x.rank == y.rank && std::equal(x.shape, x.shape + x.rank, y.shape)) return;
  fail(TERSOR_INVALID_SHAPE, std::string("expected ") + operand.name + " of shape " + shape_text(as) + " to match " +
                                 as.name + ", got " + shape_text(operand));
}

void Arguments::expect_same_shape(const OptionalOperand& operand, const Operand& as) const {
  if (operand.present) expect_same_shape(operand.operand, as);
}

const tersor_backend& Arguments::backend() const { return *uses_[0].operand.handle->memory->buffer->backend(); }

// --- plain values ----------------------------------------------------------------------------------------------------

bool Arguments::boolean(const char* name) {
  const napi_value given = value();
  bool result = false;
  if (napi_get_value_bool(env_, given, &result) != napi_ok) {
    fail(TERSOR_INVALID_ARGUMENT, std::string("expected ") + name + " to be a boolean, got " + describe(env_, given));
  }
  return result;
}

double Arguments::any_number(const char* name) {
  const napi_value given = value();
  double result = 0;
  if (napi_get_value_double(env_, given, &result) != napi_ok) {
    fail(TERSOR_INVALID_ARGUMENT, std::string("expected ") + name + " to be a number, got " + describe(env_, given));
  }
  return result;
}

int64_t Arguments::integer(const char* name, int64_t low, int64_t high) {
  const double number = any_number(name);
  if (number == std::trunc(number) && number >= static_cast<double>(low) && number <= static_cast<double>(high)) {
    return static_cast<int64_t>(number);
  }
  fail(number == std::trunc(number) ? TERSOR_OUT_OF_RANGE : TERSOR_INVALID_ARGUMENT,
       std::string("expected ") + name + " to be an integer in [" + std::to_string(low) + ", " + std::to_string(high) +
           "], got " + number_text(number));
}

int32_t Arguments::choice(const char* name, int32_t small, int32_t large) {
  const auto number = static_cast<int32_t>(integer(name, small, large));
  if (number == small || number == large) return number;
  fail(TERSOR_OUT_OF_RANGE, std::string("expected ") + name + " " + std::to_string(small) + " or " +
                                std::to_string(large) + ", got " + std::to_string(number));
}

uint64_t Arguments::unsigned64(const char* name) {
  const napi_value given = value();
  uint64_t result = 0;
  bool lossless = false;
  if (napi_get_value_bigint_uint64(env_, given, &result, &lossless) != napi_ok) {
    fail(TERSOR_INVALID_ARGUMENT, std::string("expected ") + name + " to be a bigint, got " + describe(env_, given));
  }
  if (!lossless) {
    fail(TERSOR_OUT_OF_RANGE, std::string("expected ") + name + " to be a bigint in [0, 2^64), got one outside");
  }
  return result;
}

float Arguments::f32(const char* name, double low, bool low_included, double high, const char* range) {
  const double number = any_number(name);
  if (!std::isfinite(number)) {
    fail(TERSOR_NOT_FINITE, std::string("expected ") + name + " to be " + range + ", got " + number_text(number));
  }
  if (number > high || number < low || (number == low && !low_included)) {
    fail(TERSOR_OUT_OF_RANGE, std::string("expected ") + name + " to be " + range + ", got " + number_text(number));
  }
  return static_cast<float>(number);
}

float Arguments::finite(const char* name) {
  return f32(name, -FLT_MAX, true, FLT_MAX, "a finite number of f32's range");
}

// Smaller ones would round to 0 in f32.
float Arguments::positive(const char* name) { return f32(name, FLT_MIN, true, FLT_MAX, "a positive finite number"); }

float Arguments::non_negative(const char* name) { return f32(name, 0, true, FLT_MAX, "a finite number >= 0"); }

float Arguments::below_one(const char* name) { return f32(name, 0, true, 1 - FLT_EPSILON / 2, "a number in [0, 1)"); }

tersor_activation Arguments::activation() {
  return static_cast<tersor_activation>(integer("activation", TERSOR_IDENTITY, TERSOR_SIGMOID));
}

std::string Arguments::text(const char* name) {
  constexpr size_t kMaxBytes = 255;
  const napi_value given = value();
  char text[kMaxBytes + 2];  // one more tells a longer one
  size_t length = 0;
  if (napi_get_value_string_utf8(env_, given, text, sizeof text, &length) != napi_ok || length > kMaxBytes) {
    fail(TERSOR_INVALID_ARGUMENT, std::string("expected ") + name + " to be a string of at most " +
                                      std::to_string(kMaxBytes) + " bytes, got " + describe(env_, given));
  }
  return std::string(text, length);
}

int32_t Arguments::dimensions(int64_t (&shape)[TERSOR_MAX_RANK]) {
  const auto rank = static_cast<int32_t>(count_ - next_);
  for (int i = 0; i < rank; ++i) {
    const napi_value given = value();
    double dimension = -1;
    const bool number = napi_get_value_double(env_, given, &dimension) == napi_ok;
    if (!number || dimension != std::trunc(dimension) || dimension < 0 || dimension > kMaxSafeInteger) {
      fail(number ? TERSOR_INVALID_SHAPE : TERSOR_INVALID_ARGUMENT,
           "expected dimensions to be integers in [0, 2^53), got " + describe(env_, given) + ", at shape[" +
               std::to_string(i) + "]");
    }
    shape[i] = static_cast<int64_t>(dimension);
  }
  return rank;
}

}  // namespace tersor::binding
