// Making, sharing, reading and writing tensors from JavaScript.
#pragma once

#include <node_api.h>

#include "binding/arguments.h"

namespace tersor::binding {

napi_value create(Arguments& in);   // dtype, shape, device -> tensor
napi_value reshape(Arguments& in);  // tensor, shape -> tensor over the same memory
napi_value release(Arguments& in);  // tensor
napi_value write(Arguments& in);    // tensor, ArrayBufferView
napi_value read(Arguments& in);     // tensor, ArrayBufferView
napi_value memory(Arguments& in);   // -> { buffers, bytes, tensors }

}  // namespace tersor::binding
