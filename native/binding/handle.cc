#include "binding/handle.h"

#include <unordered_set>
#include <utility>

#include "binding/environment.h"
#include "binding/error.h"

namespace tersor::binding {
namespace {

using Registry = std::unordered_set<const void*> Environment::*;

// Makes an external that owns `object` and is listed in the environment's registry for as long as it lives.
template <typename Object, Registry registry>
napi_value wrap(napi_env env, std::unique_ptr<Object> object) {
  auto& registered = object->environment.get()->*registry;
  registered.insert(object.get());
  const auto finalize = [](napi_env, void* data, void*) {
    auto* dead = static_cast<Object*>(data);
    (dead->environment.get()->*registry).erase(dead);
    if constexpr (std::is_same_v<Object, Handle>) release(*dead);
    delete dead;
  };
  napi_value external;
  if (napi_create_external(env, object.get(), finalize, nullptr, &external) != napi_ok) {
    registered.erase(object.get());
    throw JavaScriptException{};
  }
  object.release();
  return external;
}

template <typename Object>
Object* find(napi_env env, const std::unordered_set<const void*>& registered, napi_value value) {
  void* data = nullptr;
  if (napi_get_value_external(env, value, &data) != napi_ok || !registered.contains(data)) return nullptr;
  return static_cast<Object*>(data);
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
  auto environment = Environment::share(env);
  const napi_value external = wrap<Handle, &Environment::handles>(
      env, std::make_unique<Handle>(Handle{environment, std::move(memory), tensor}));
  ++environment->live_tensors;
  return external;
}

Handle* find_tensor(napi_env env, const Environment& environment, napi_value value) {
  return find<Handle>(env, environment.handles, value);
}

void release(Handle& handle) {
  if (handle.memory == nullptr) return;
  handle.memory.reset();
  handle.tensor.data = nullptr;
  --handle.environment->live_tensors;
}

napi_value wrap_cancel_token(napi_env env) {
  return wrap<CancelToken, &Environment::tokens>(
      env, std::make_unique<CancelToken>(CancelToken{Environment::share(env), std::make_shared<int32_t>(0)}));
}

CancelToken* find_cancel_token(napi_env env, const Environment& environment, napi_value value) {
  return find<CancelToken>(env, environment.tokens, value);
}

}  // namespace tersor::binding
