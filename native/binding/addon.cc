// The addon's exports: every operation, the functions around them, and what is known about this build and machine.
#include <napi.h>

#include <algorithm>
#include <string_view>

#include "backend/kernels.h"
#include "binding/arguments.h"
#include "binding/devices.h"
#include "binding/environment.h"
#include "binding/error.h"
#include "binding/operation.h"
#include "binding/tensors.h"
#include "core/cpu_features.h"
#include "core/thread_pool.h"

namespace tersor::binding {
namespace {

napi_value undefined(napi_env env) {
  napi_value result;
  check(napi_get_undefined(env, &result));
  return result;
}

std::span<const Operation* const> all_operations() {
  static const std::vector<const Operation*>& all = *[] {
    auto* list = new std::vector<const Operation*>;  // never destroyed: a job may run at process exit
    for (const auto family :
         {memory_operations(), product_operations(), sparse_operations(), decomposition_operations(),
          elementwise_operations(), embedding_operations(), attention_operations(), convolution_operations(),
          loss_operations(), compression_operations(), optimizer_operations(), search_operations(),
          codebook_operations()}) {
      for (const Operation& operation : family) list->push_back(&operation);
    }
    return list;
  }();
  return all;
}

// --- functions around the operations ---------------------------------------------------------------------------------

napi_value use_error_class(Arguments& in) {
  const napi_value constructor = in.value();
  napi_valuetype type = napi_undefined;
  check(napi_typeof(in.env(), constructor, &type));
  if (type != napi_function) {
    in.fail(TERSOR_INVALID_ARGUMENT, "expected errorClass to be a class, got " + describe(in.env(), constructor));
  }
  in.environment().set_error_class(constructor);
  return undefined(in.env());
}

// operation, arguments, cancel token -> promise
napi_value run(Arguments& in) {
  const std::string name = in.text("operation");
  const auto operations = all_operations();
  const auto found =
      std::find_if(operations.begin(), operations.end(), [&](const Operation* o) { return name == o->name; });
  if (found == operations.end()) {
    in.fail(TERSOR_INVALID_ARGUMENT, "expected the name of an operation, got \"" + name + "\"");
  }
  const Operation& operation = **found;

  const napi_value list = in.value();
  bool is_array = false;
  check(napi_is_array(in.env(), list, &is_array));
  if (!is_array) {
    in.fail(TERSOR_INVALID_ARGUMENT, "expected args to be an array, got " + describe(in.env(), list));
  }
  uint32_t count = 0;
  check(napi_get_array_length(in.env(), list, &count));
  napi_value values[Arguments::kMaxCount];
  // All are fetched before the first is read: a getter in the array must not change what has been checked.
  for (uint32_t i = 0; i < std::min<size_t>(count, Arguments::kMaxCount); ++i) {
    check(napi_get_element(in.env(), list, i, &values[i]));
  }

  const napi_value token_value = in.value();
  const CancelToken* token = find_cancel_token(in.env(), in.environment(), token_value);
  if (token == nullptr) {
    in.fail(TERSOR_INVALID_ARGUMENT, "expected cancel to be a cancel token, got " + describe(in.env(), token_value));
  }

  Arguments arguments(in.env(), operation.name, values, count);
  arguments.expect_count(operation.arity);
  std::unique_ptr<Work> work = operation.prepare(arguments);
  return in.environment().jobs.start(arguments, std::move(work), token->flag);
}

napi_value create_cancel_token(Arguments& in) { return wrap_cancel_token(in.env()); }

napi_value cancel(Arguments& in) {
  const napi_value value = in.value();
  const CancelToken* token = find_cancel_token(in.env(), in.environment(), value);
  if (token == nullptr) {
    in.fail(TERSOR_INVALID_ARGUMENT, "expected token to be a cancel token, got " + describe(in.env(), value));
  }
  __atomic_store_n(token->flag.get(), 1, __ATOMIC_RELAXED);
  return undefined(in.env());
}

// rows, cols, dtype, device -> elements of a dense weight packed there
napi_value packed_elements(Arguments& in) {
  const int64_t rows = in.integer("rows", 0, INT32_MAX), cols = in.integer("cols", 0, INT32_MAX);
  const int64_t dtype = in.integer("dtype", 0, TERSOR_DTYPE_COUNT - 1);
  if (dtype != TERSOR_F32 && dtype != TERSOR_BF16) {
    in.fail(TERSOR_INVALID_DTYPE,
            std::string("expected dtype f32 or bf16, got ") + name_of(static_cast<tersor_dtype>(dtype)));
  }
  const tersor_backend* backend = backend_of(in.text("device"));
  const int64_t elements = backend->packed_elements(rows, cols, static_cast<tersor_dtype>(dtype));
  return Napi::Number::New(in.env(), static_cast<double>(elements));
}

// rows, cols, rank, device -> elements of a weight of low rank packed there
napi_value low_rank_elements(Arguments& in) {
  const int64_t rows = in.integer("rows", 0, INT32_MAX), cols = in.integer("cols", 0, INT32_MAX);
  const int64_t rank = in.integer("rank", 0, INT32_MAX);
  const tersor_backend* backend = backend_of(in.text("device"));
  return Napi::Number::New(in.env(), static_cast<double>(backend->low_rank_elements(rows, cols, rank)));
}

// rows, cols, bits, groupSize, hasOffsets, device -> bytes of a weight packed there
napi_value quantized_bytes(Arguments& in) {
  const int64_t rows = in.integer("rows", 0, INT32_MAX), cols = in.integer("cols", 0, INT32_MAX);
  const auto bits = static_cast<int32_t>(in.integer("bits", 1, 8));
  const int64_t group_size = in.integer("groupSize", 1, kMaxSafeInteger);
  const bool has_offsets = in.boolean("hasOffsets");
  const tersor_backend* backend = backend_of(in.text("device"));
  const int64_t bytes = backend->quantized_bytes(rows, cols, bits, group_size, has_offsets ? 1 : 0);
  return Napi::Number::New(in.env(), static_cast<double>(bytes));
}

// rows, cols, device -> bytes of an int8 weight packed there
napi_value int8_bytes(Arguments& in) {
  const int64_t rows = in.integer("rows", 0, INT32_MAX), cols = in.integer("cols", 0, INT32_MAX);
  const int64_t bytes = backend_of(in.text("device"))->int8_bytes(rows, cols);
  return Napi::Number::New(in.env(), static_cast<double>(bytes));
}

// rows, cols, keep, group, device -> bytes of a weight packed there
napi_value nm_bytes(Arguments& in) {
  const int64_t rows = in.integer("rows", 0, INT32_MAX), cols = in.integer("cols", 0, INT32_MAX);
  const auto keep = static_cast<int32_t>(in.integer("keep", 1, 16));
  const auto group = static_cast<int32_t>(in.integer("group", keep, 16));
  const int64_t bytes = backend_of(in.text("device"))->nm_bytes(rows, cols, keep, group);
  return Napi::Number::New(in.env(), static_cast<double>(bytes));
}

// The same of a weight of integers, after its group the bits that they take.
napi_value nm_int8_bytes(Arguments& in) {
  const int64_t rows = in.integer("rows", 0, INT32_MAX), cols = in.integer("cols", 0, INT32_MAX);
  const auto keep = static_cast<int32_t>(in.integer("keep", 1, 16));
  const auto group = static_cast<int32_t>(in.integer("group", keep, 16));
  const int32_t bits = in.choice("bits", 4, 8);
  const int64_t bytes = backend_of(in.text("device"))->nm_int8_bytes(rows, cols, keep, group, bits);
  return Napi::Number::New(in.env(), static_cast<double>(bytes));
}

napi_value search_bytes(Arguments& in) {
  const int64_t rows = in.integer("rows", 0, INT32_MAX), columns = in.integer("columns", 0, INT32_MAX);
  const auto format = static_cast<tersor_search_format>(in.integer("format", TERSOR_SEARCH_F32, TERSOR_SEARCH_BINARY));
  const tersor_backend* backend = backend_of(in.text("device"));
  return Napi::Number::New(in.env(), static_cast<double>(backend->search_bytes(rows, columns, format)));
}

// rows, subspaces, bits, device -> bytes of product codes packed there
napi_value product_search_bytes(Arguments& in) {
  const int64_t rows = in.integer("rows", 0, INT32_MAX), subspaces = in.integer("subspaces", 1, INT32_MAX);
  const auto bits = static_cast<int32_t>(in.integer("bits", 4, 8));
  const tersor_backend* backend = backend_of(in.text("device"));
  return Napi::Number::New(in.env(), static_cast<double>(backend->product_search_bytes(rows, subspaces, bits)));
}

napi_value threads(Arguments& in) { return Napi::Number::New(in.env(), thread_count()); }

napi_value set_threads(Arguments& in) {
  set_thread_count(static_cast<int>(in.integer("count", 1, 1024)));
  return undefined(in.env());
}

napi_value kernels(Arguments& in) {
  const Napi::Env env(in.env());
  Napi::Array list = Napi::Array::New(env);
  for (const KernelReport& kernel : kernel_report()) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("operation", kernel.operation);
    entry.Set("name", kernel.name);
    entry.Set("isa", kernel.isa);
    entry.Set("selected", kernel.selected);
    entry.Set("reason", kernel.reason);
    list.Set(list.Length(), entry);
  }
  return list;
}

napi_value list_devices(Arguments& in) {
  const Napi::Env env(in.env());
  Napi::Array list = Napi::Array::New(env);
  for (const Device& device : devices()) {
    Napi::Object entry = Napi::Object::New(env);
    const bool available = device.backend != nullptr;
    entry.Set("name", device.name);
    entry.Set("available", available);
    entry.Set("reason", device.reason);
    entry.Set("isa", available ? name_of(active_isa()) : "");
    entry.Set("threads", available ? thread_count() : 0);
    list.Set(list.Length(), entry);
  }
  return list;
}

napi_value versions(Arguments& in) {
  Napi::Object result = Napi::Object::New(Napi::Env(in.env()));
  result.Set("addon", TERSOR_VERSION);
  result.Set("abi", TERSOR_BACKEND_ABI);
  result.Set("compiler", __VERSION__);
  result.Set("eigen", TERSOR_EIGEN_VERSION);
  return result;
}

struct Function {
  const char* name;
  size_t arity;
  napi_value (*call)(Arguments&);
  size_t more = 0;  // arguments that may follow
};

constexpr Function kFunctions[] = {
    {"create", 2, create, TERSOR_MAX_RANK},
    {"reshape", 1, reshape, TERSOR_MAX_RANK},
    {"release", 1, release},
    {"write", 2, write},
    {"read", 2, read},
    {"memory", 0, memory},
    {"useErrorClass", 1, use_error_class},
    {"run", 3, run},
    {"createCancelToken", 0, create_cancel_token},
    {"cancel", 1, cancel},
    {"packedElements", 4, packed_elements},
    {"lowRankElements", 4, low_rank_elements},
    {"quantizedBytes", 6, quantized_bytes},
    {"int8Bytes", 3, int8_bytes},
    {"nmBytes", 5, nm_bytes},
    {"nmInt8Bytes", 6, nm_int8_bytes},
    {"searchBytes", 4, search_bytes},
    {"productSearchBytes", 4, product_search_bytes},
    {"threads", 0, threads},
    {"setThreads", 1, set_threads},
    {"kernels", 0, kernels},
    {"devices", 0, list_devices},
    {"versions", 0, versions},
};

// --- the boundary ----------------------------------------------------------------------------------------------------

napi_value call(const Function& function, Arguments& arguments) {
  arguments.expect_count(function.arity, function.more);
  return function.call(arguments);
}

napi_value call(const Operation& operation, Arguments& arguments) {
  arguments.expect_count(operation.arity);
  operation.run_now(arguments);
  return nullptr;  // undefined
}

// What JavaScript calls. No C++ exception gets past here.
template <typename Entry>
napi_value enter(napi_env env, napi_callback_info info) noexcept {
  try {
    napi_value values[Arguments::kMaxCount];
    size_t count = Arguments::kMaxCount;
    void* data = nullptr;
    check(napi_get_cb_info(env, info, &count, values, nullptr, &data));
    const auto& entry = *static_cast<const Entry*>(data);
    Arguments arguments(env, entry.name, values, count);
    return call(entry, arguments);
  } catch (const Napi::Error& error) {
    error.ThrowAsJavaScriptException();
  } catch (...) {
    rethrow_in_javascript(env);
  }
  return nullptr;
}

template <typename Entry>
void define(Napi::Object exports, const Entry& entry) {
  napi_value function;
  check(napi_create_function(exports.Env(), entry.name, NAPI_AUTO_LENGTH, enter<Entry>,
                             const_cast<void*>(static_cast<const void*>(&entry)), &function));
  check(napi_set_named_property(exports.Env(), exports, entry.name, function));
}

// A wish that cannot be granted is an error, not a fallback.
void expect_settings(const char* error) {
  if (*error != '\0') throw Error{code_of(TERSOR_INVALID_ARGUMENT), error};
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  Environment::install(env);
  try {
    expect_settings(isa_error());
    expect_settings(thread_count_error());
    for (const Operation* operation : all_operations()) define(exports, *operation);
    for (const Function& function : kFunctions) define(exports, function);
  } catch (...) {
    rethrow_in_javascript(env);
  }
  return exports;
}

}  // namespace

NODE_API_MODULE(tersor, initialize)

}  // namespace tersor::binding
