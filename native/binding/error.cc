#include "binding/error.h"

#include <exception>
#include <new>

#include "binding/environment.h"

namespace tersor::binding {
namespace {

napi_value text(napi_env env, const std::string& value) {
  napi_value result;
  check(napi_create_string_utf8(env, value.data(), value.size(), &result));
  return result;
}

void throw_in_javascript(napi_env env, const Error& error) noexcept {
  try {
    napi_throw(env, to_javascript(env, error));
  } catch (...) {
    // Only when JavaScript can no longer run (a terminated worker); there is nobody left to tell.
  }
}

}  // namespace

const char* code_of(tersor_status status) {
  switch (status) {
    case TERSOR_INVALID_ARGUMENT:
      return "ERR_TERSOR_INVALID_ARGUMENT";
    case TERSOR_INVALID_SHAPE:
      return "ERR_TERSOR_SHAPE";
    case TERSOR_INVALID_DTYPE:
      return "ERR_TERSOR_DTYPE";
    case TERSOR_OUT_OF_RANGE:
      return "ERR_TERSOR_OUT_OF_RANGE";
    case TERSOR_NOT_FINITE:
      return "ERR_TERSOR_NOT_FINITE";
    case TERSOR_OUT_OF_MEMORY:
      return "ERR_TERSOR_OUT_OF_MEMORY";
    case TERSOR_CANCELLED:
      return "ERR_TERSOR_CANCELLED";
    case TERSOR_UNSUPPORTED:
      return "ERR_TERSOR_UNSUPPORTED";
    case TERSOR_OK:
    case TERSOR_INTERNAL:
      break;
  }
  return "ERR_TERSOR_INTERNAL";
}

void check(napi_status status) {
  if (status != napi_ok) throw JavaScriptException{};
}

napi_value to_javascript(napi_env env, const Error& error) {
  const napi_value code = text(env, error.code);
  const napi_value message = text(env, error.message);
  napi_value result;
  if (const napi_value error_class = Environment::of(env).error_class(); error_class != nullptr) {
    const napi_value arguments[] = {code, message};
    check(napi_new_instance(env, error_class, 2, arguments, &result));
    return result;
  }
  check(napi_create_error(env, code, message, &result));
  return result;
}

void rethrow_in_javascript(napi_env env) noexcept {
  try {
    throw;
  } catch (const Error& error) {
    throw_in_javascript(env, error);
  } catch (const JavaScriptException&) {
    bool pending = false;
    napi_is_exception_pending(env, &pending);
    if (!pending) {
      throw_in_javascript(env, {code_of(TERSOR_INTERNAL), "expected Node-API to succeed, got an unexplained failure"});
    }
  } catch (const std::bad_alloc&) {
    throw_in_javascript(env, {code_of(TERSOR_OUT_OF_MEMORY), "expected memory, got none"});
  } catch (const std::exception& error) {
    throw_in_javascript(env, {code_of(TERSOR_INTERNAL), error.what()});
  } catch (...) {
    throw_in_javascript(env, {code_of(TERSOR_INTERNAL), "expected no unknown C++ exception, got one"});
  }
}

}  // namespace tersor::binding
