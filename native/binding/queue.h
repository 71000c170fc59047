// Operations that run off JavaScript's thread, on threads of our own: libuv's pool stays free for the application.
#pragma once

#include <node_api.h>

#include <memory>
#include <unordered_map>
#include <vector>

namespace tersor::binding {

class Arguments;
class Memory;
class Work;
struct Job;
struct Mailbox;

// One environment's jobs in flight. Used on the environment's thread only.
class PendingJobs {
 public:
  explicit PendingJobs(napi_env env) : env_(env) {}
  PendingJobs(const PendingJobs&) = delete;
  PendingJobs& operator=(const PendingJobs&) = delete;
  ~PendingJobs();

  // Queues `work` and returns its promise, which settles once. The tensors that `in` has read stay allocated, and
  // closed to conflicting uses, until then. Once *cancel is non-zero the work ends soon with ERR_TERSOR_CANCELLED.
  napi_value start(const Arguments& in, std::unique_ptr<Work> work, std::shared_ptr<int32_t> cancel);

 private:
  struct Hold {
    std::shared_ptr<Memory> memory;
    bool writes;
  };
  // What of a job belongs to JavaScript's thread.
  struct Pending {
    napi_deferred deferred;
    std::vector<Hold> holds;
  };

  static void settle_finished(napi_env env, napi_value, void* context, void*);
  static void abandon_all(void* self);
  void open_mailbox();
  void settle(const Job& job);

  napi_env env_;
  std::shared_ptr<Mailbox> mailbox_;  // null until the first job
  std::unordered_map<std::shared_ptr<Job>, Pending> pending_;
};

}  // namespace tersor::binding
