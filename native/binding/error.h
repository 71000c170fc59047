// How failures travel from the native side to JavaScript: as a C++ exception up to the Node-API boundary, there as a
// TersorError with a code of lib/errors.ts.
#pragma once

#include <node_api.h>

#include <string>

#include "core/status.h"

namespace tersor::binding {

// Codes that have no tersor_status; the rest follow from code_of().
inline constexpr const char* kDisposed = "ERR_TERSOR_DISPOSED";
inline constexpr const char* kDevice = "ERR_TERSOR_DEVICE";

struct Error {
  const char* code;  // static storage
  std::string message;
};

// A Node-API call failed and has left a JavaScript exception pending, or the environment is going away.
struct JavaScriptException {};

const char* code_of(tersor_status status);

// Throws JavaScriptException unless `status` is napi_ok.
void check(napi_status status);

// The JavaScript error object for `error`, of the class given to use_error_class() when there is one.
napi_value to_javascript(napi_env env, const Error& error);

// To be called in a catch block: turns the exception in flight into a pending JavaScript exception.
void rethrow_in_javascript(napi_env env) noexcept;

}  // namespace tersor::binding
