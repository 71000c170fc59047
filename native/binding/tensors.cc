#include "binding/tensors.h"

#include <utility>

#include "binding/devices.h"
#include "binding/operation.h"
#include "core/dtype.h"

namespace tersor::binding {
namespace {

napi_value undefined(napi_env env) {
  napi_value result;
  check(napi_get_undefined(env, &result));
  return result;
}

// Kernels multiply dimensions in any order, so that no product of them may overflow, not even beside a 0.
size_t checked_bytes(const Arguments& in, const tersor_tensor& tensor) {
  int64_t product = 1;
  for (int i = 0; i < tensor.rank; ++i) {
    if (tensor.shape[i] > 0 &&
        (__builtin_mul_overflow(product, tensor.shape[i], &product) || product > kMaxSafeInteger)) {
      in.fail(TERSOR_INVALID_SHAPE, "expected fewer than 2^53 elements, got more");
    }
  }
  tersor_context context{};
  size_t bytes = 0;
  expect_ok(in.operation(), tensor_bytes(&context, tensor.dtype, tensor.rank, tensor.shape, &bytes), context);
  return bytes;
}

struct Bytes {
  void* data;
  size_t length;
};

size_t element_bytes(const Arguments& in, napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array:
    case napi_uint8_array:
    case napi_uint8_clamped_array:
      return 1;
    case napi_int16_array:
    case napi_uint16_array:
      return 2;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array:
      return 4;
    case napi_float64_array:
    case napi_bigint64_array:
    case napi_biguint64_array:
      return 8;
    default:
      in.fail(TERSOR_INVALID_ARGUMENT, "expected a typed array of a known kind, got a newer one");
  }
}

// The memory of a typed array or DataView, valid until JavaScript runs again.
Bytes view_bytes(Arguments& in, const char* name) {
  const napi_env env = in.env();
  const napi_value given = in.value();
  bool typed_array = false, data_view = false, array_buffer = false;
  check(napi_is_typedarray(env, given, &typed_array));
  check(napi_is_dataview(env, given, &data_view));
  Bytes bytes{};
  napi_value owner = nullptr;
  size_t offset = 0;
  if (typed_array) {
    napi_typedarray_type type;
    check(napi_get_typedarray_info(env, given, &type, &bytes.length, &bytes.data, &owner, &offset));
    bytes.length *= element_bytes(in, type);
  } else if (data_view) {
    check(napi_get_dataview_info(env, given, &bytes.length, &bytes.data, &owner, &offset));
  } else {
    in.fail(TERSOR_INVALID_ARGUMENT,
            std::string("expected ") + name + " to be a typed array, got " + describe(env, given));
  }
  check(napi_is_arraybuffer(env, owner, &array_buffer));
  if (!array_buffer) {
    in.fail(TERSOR_INVALID_ARGUMENT,
            std::string("expected ") + name +
                " to view an ArrayBuffer, got a view of a SharedArrayBuffer, which other threads "
                "may change meanwhile");
  }
  bool detached = false;
  check(napi_is_detached_arraybuffer(env, owner, &detached));
  if (detached) {
    in.fail(TERSOR_INVALID_ARGUMENT,
            std::string("expected ") + name + " to view memory, got a view of a detached ArrayBuffer");
  }
  return bytes;
}

void expect_length(const Arguments& in, const char* name, size_t expected, size_t got) {
  if (expected == got) return;
  in.fail(TERSOR_INVALID_SHAPE, std::string("expected ") + name + " of " + std::to_string(expected) +
                                    " bytes to match the tensor, got " + std::to_string(got));
}

}  // namespace

napi_value create(Arguments& in) {
  tersor_tensor tensor{};
  tensor.dtype = static_cast<tersor_dtype>(in.integer("dtype", 0, TERSOR_DTYPE_COUNT - 1));
  const tersor_backend* backend = backend_of(in.text("device"));
  tensor.rank = in.dimensions(tensor.shape);
  const size_t bytes = checked_bytes(in, tensor);
  tersor_context context{};
  std::shared_ptr<Buffer> buffer;
  expect_ok(in.operation(), Buffer::allocate(backend, &context, bytes, &buffer), context);
  tensor.data = buffer->data();
  return wrap_tensor(in.env(), std::make_shared<Memory>(in.environment(), std::move(buffer)), tensor);
}

napi_value reshape(Arguments& in) {
  const Handle& x = in.handle("x");
  tersor_tensor tensor = x.tensor;
  tensor.rank = in.dimensions(tensor.shape);
  const size_t bytes = checked_bytes(in, tensor);
  if (is_bit_packed(tensor.dtype) && tensor.rank > 0 &&
      (x.tensor.rank == 0 || tensor.shape[tensor.rank - 1] != x.tensor.shape[x.tensor.rank - 1])) {
    in.fail(TERSOR_INVALID_SHAPE, "expected bit-packed rows to keep their length, got another last dimension");
  }
  if (bytes != x.memory->buffer->bytes()) {
    in.fail(TERSOR_INVALID_SHAPE, "expected a shape of " + std::to_string(x.memory->buffer->bytes()) +
                                      " bytes to match x, got one of " + std::to_string(bytes));
  }
  return wrap_tensor(in.env(), x.memory, tensor);
}

napi_value release(Arguments& in) {
  release(in.handle("x", true));
  return undefined(in.env());
}

napi_value write(Arguments& in) {
  const Operand x = in.output("x", kAnyDType);
  const Buffer& buffer = *x.handle->memory->buffer;
  const Bytes source = view_bytes(in, "source");
  expect_length(in, "source", buffer.bytes(), source.length);
  tersor_context context{};
  expect_ok(in.operation(), buffer.backend()->upload(&context, buffer.data(), source.data, source.length), context);
  return undefined(in.env());
}

napi_value read(Arguments& in) {
  const Operand x = in.input("x", kAnyDType);
  const Buffer& buffer = *x.handle->memory->buffer;
  const Bytes target = view_bytes(in, "target");
  expect_length(in, "target", buffer.bytes(), target.length);
  tersor_context context{};
  expect_ok(in.operation(), buffer.backend()->download(&context, target.data, buffer.data(), target.length), context);
  return undefined(in.env());
}

napi_value memory(Arguments& in) {
  const Environment& environment = in.environment();
  napi_value result;
  check(napi_create_object(in.env(), &result));
  const std::pair<const char*, int64_t> counts[] = {
      {"buffers", environment.live_buffers}, {"bytes", environment.live_bytes}, {"tensors", environment.live_tensors}};
  for (const auto& [name, count] : counts) {
    napi_value number;
    check(napi_create_int64(in.env(), count, &number));
    check(napi_set_named_property(in.env(), result, name, number));
  }
  return result;
}

}  // namespace tersor::binding
