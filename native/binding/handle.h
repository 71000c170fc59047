// The JavaScript side's hold on native memory. A tensor is an external whose Handle has a dtype and a shape over shared
// Memory.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <memory>

#include "backend/backend.h"
#include "core/buffer.h"

namespace tersor::binding {

class Environment;

// A buffer as one environment sees it. Lives on the environment's thread; job threads hold the buffer itself.
class Memory {
 public:
  Memory(Environment& environment, std::shared_ptr<Buffer> shared);
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory();

  const std::shared_ptr<Buffer> buffer;
  // Queued jobs that read or write the bytes. Values are checked before they are used (ids, CSR offsets), so nobody
  // else may change them meanwhile.
  int32_t readers = 0;
  int32_t writers = 0;
  uint64_t call = 0;  // the last one (Arguments) that had it as an operand

 private:
  void account(int64_t sign);
  Environment& environment_;
};

struct Handle {
  std::shared_ptr<Environment> environment;  // declared first: outlives the memory's accounts
  std::shared_ptr<Memory> memory;            // null once released
  tersor_tensor tensor;
};

// The token is written by JavaScript's thread and polled by a job's.
struct CancelToken {
  std::shared_ptr<Environment> environment;
  std::shared_ptr<int32_t> flag;
};

// An external for a tensor over `memory`, whose size the caller has checked.
napi_value wrap_tensor(napi_env env, std::shared_ptr<Memory> memory, const tersor_tensor& tensor);

// The handle behind a value, or null when the value is anything else.
Handle* find_tensor(napi_env env, const Environment& environment, napi_value value);

void release(Handle& handle);

napi_value wrap_cancel_token(napi_env env);
CancelToken* find_cancel_token(napi_env env, const Environment& environment, napi_value value);

}  // namespace tersor::binding
