#include "binding/environment.h"

#include "binding/error.h"

namespace tersor::binding {
namespace {

using Share = std::shared_ptr<Environment>;

Share* instance_data(napi_env env) {
  void* data = nullptr;
  check(napi_get_instance_data(env, &data));
  return static_cast<Share*>(data);
}

}  // namespace

void Environment::install(napi_env env) {
  auto share = std::make_unique<Share>(std::make_shared<Environment>(env));
  check(napi_set_instance_data(
      env, share.get(), [](napi_env, void* data, void*) { delete static_cast<Share*>(data); }, nullptr));
  share.release();
}

Environment& Environment::of(napi_env env) { return **instance_data(env); }

std::shared_ptr<Environment> Environment::share(napi_env env) { return *instance_data(env); }

napi_value Environment::error_class() const {
  if (error_class_ == nullptr) return nullptr;
  napi_value value = nullptr;
  check(napi_get_reference_value(env_, error_class_, &value));
  return value;
}

void Environment::set_error_class(napi_value constructor) {
  napi_ref reference = nullptr;
  check(napi_create_reference(env_, constructor, 1, &reference));
  if (error_class_ != nullptr) napi_delete_reference(env_, error_class_);
  error_class_ = reference;
}

}  // namespace tersor::binding
