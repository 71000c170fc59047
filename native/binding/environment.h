// What the addon keeps for each JavaScript environment (the main thread and every worker have their own). Used on that
// environment's thread only.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <memory>

#include "binding/handle.h"
#include "binding/queue.h"
#include "binding/slab.h"

namespace tersor::binding {

class Environment {
 public:
  // Makes the environment's instance data.
  static void install(napi_env env);
  static Environment& of(napi_env env);

  explicit Environment(napi_env env) : env_(env), jobs(env) {}
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  napi_env env() const { return env_; }
  // Handles outlive the instance data when the environment is torn down, so each owns a share.
  static std::shared_ptr<Environment> share(napi_env env);

  napi_value error_class() const;  // null until set
  void set_error_class(napi_value constructor);

 private:
  napi_env env_;
  napi_ref error_class_ = nullptr;

 public:
  // What this environment's externals point to.
  Slab<Handle> handles;
  Slab<CancelToken> tokens;

  int64_t live_buffers = 0;  // with at least one handle or job
  int64_t live_bytes = 0;
  int64_t live_tensors = 0;  // handles not released

  PendingJobs jobs;  // last: its memory is counted above
};

}  // namespace tersor::binding
