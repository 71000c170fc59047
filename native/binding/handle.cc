#include "binding/handle.h"

#include <type_traits>
#include <utility>

#include "binding/environment.h"
#include "binding/error.h"

namespace tersor::binding {
namespace {

// An external that owns a new object of one of the environment's slabs.
template <typename Object, Slab<Object> Environment::*slab, typename... Parts>
napi_value wrap(napi_env env, const std::shared_ptr<Environment>& environment, Parts&&... parts) {
  Object* object = ((*environment).*slab).make(environment, std::forward<Parts>(parts)...);
  const auto finalize = [](napi_env, void* data, void*) {
    auto* dead = static_cast<Object*>(data);
    const std::shared_ptr<Environment> last = dead->environment;  // the slab is in there
    if constexpr (std::is_same_v<Object, Handle>) release(*dead);
    ((*last).*slab).destroy(dead);
  };
  napi_value external;
  if (napi_create_external(env, object, finalize, nullptr, &external) != napi_ok) {
    ((*environment).*slab).destroy(object);
    throw JavaScriptException{};
  }
  return external;
}

template <typename Object>
Object* find(napi_env env, const Slab<Object>& slab, napi_value value) {
  void* data = nullptr;
  return napi_get_value_external(env, value, &data) == napi_ok ? slab.find(data) : nullptr;
}

}  // namespace

Memory::Memory(Environment& environment, std::shared_ptr<Buffer> shared)
    : buffer(std::move(shared)), environment_(environment) {
  account(1);
}

Memory::~Memory() { account(-1); }

void Memory::account(int64_t sign) {
  const int64_t bytes = sign * static_cast<int64_t>(buffer->bytes());
  environment_.live_buffers += sign;
  environment_.live_bytes += bytes;
  int64_t total;  // V8 collects sooner when it knows what a small external keeps alive
  napi_adjust_external_memory(environment_.env(), bytes, &total);
}

napi_value wrap_tensor(napi_env env, std::shared_ptr<Memory> memory, const tersor_tensor& tensor) {
  const std::shared_ptr<Environment> environment = Environment::share(env);
  const napi_value external = wrap<Handle, &Environment::handles>(env, environment, std::move(memory), tensor);
  ++environment->live_tensors;
  return external;
}

Handle* find_tensor(napi_env env, const Environment& environment, napi_value value) {
  return find(env, environment.handles, value);
}

void release(Handle& handle) {
  if (handle.memory == nullptr) return;
  handle.memory.reset();
  handle.tensor.data = nullptr;
  --handle.environment->live_tensors;
}

napi_value wrap_cancel_token(napi_env env) {
  return wrap<CancelToken, &Environment::tokens>(env, Environment::share(env), std::make_shared<int32_t>(0));
}

CancelToken* find_cancel_token(napi_env env, const Environment& environment, napi_value value) {
  return find(env, environment.tokens, value);
}

}  // namespace tersor::binding
