#include "binding/queue.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "binding/arguments.h"
#include "binding/environment.h"
#include "binding/error.h"
#include "binding/operation.h"
#include "core/thread_pool.h"

namespace tersor::binding {

// Where job threads leave finished jobs for an environment. The lock orders them against the environment's end.
struct Mailbox {
  std::mutex mutex;
  bool open = true;
  napi_threadsafe_function notify = nullptr;  // valid while open
  std::vector<std::shared_ptr<Job>> finished;
};

// What of a job any thread may touch; owns all it needs, so that it may outlive its environment.
struct Job {
  const char* operation;
  std::unique_ptr<Work> work;
  std::vector<std::shared_ptr<Buffer>> buffers;
  std::shared_ptr<int32_t> cancel;
  std::shared_ptr<Mailbox> mailbox;
  tersor_status status = TERSOR_OK;
  tersor_context context{};

  bool cancelled() const { return __atomic_load_n(cancel.get(), __ATOMIC_RELAXED) != 0; }
};

namespace {

// Process-wide, first in first out, over at most thread_count() threads.
class JobThreads {
 public:
  // Never destroyed: at process exit a job may still be running.
  static JobThreads& instance() {
    static JobThreads* threads = new JobThreads;
    return *threads;
  }

  void push(std::shared_ptr<Job> job) {
    {
      std::lock_guard lock(mutex_);
      if (idle_ <= static_cast<int>(waiting_.size()) && threads_ < thread_count()) start_thread();
      waiting_.push_back(std::move(job));
    }
    wake_.notify_one();
  }

 private:
  void start_thread() {
    try {
      std::thread(&JobThreads::work, this).detach();
      ++threads_;
    } catch (const std::system_error&) {
      if (threads_ == 0) {
        throw Error{code_of(TERSOR_OUT_OF_MEMORY), "expected the system to start a thread, got a refusal"};
      }
    }
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      wake_.wait(lock, [this] { return !waiting_.empty(); });
      --idle_;
      std::shared_ptr<Job> job = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      run(*job);
      deliver(std::move(job));
      lock.lock();
    }
  }

  static void run(Job& job) noexcept {
    job.context.cancel = job.cancel.get();
    try {
      job.status = job.cancelled() ? TERSOR_CANCELLED : job.work->run(&job.context);
    } catch (const std::bad_alloc&) {
      job.status = TERSOR_OUT_OF_MEMORY;
    } catch (...) {
      job.status = TERSOR_INTERNAL;
    }
  }

  static void deliver(std::shared_ptr<Job> job) {
    const std::shared_ptr<Mailbox> mailbox = job->mailbox;  // outlives the lock
    std::lock_guard lock(mailbox->mutex);
    if (!mailbox->open) return;  // its environment is gone, and nobody waits
    mailbox->finished.push_back(std::move(job));
    napi_call_threadsafe_function(mailbox->notify, nullptr, napi_tsfn_nonblocking);
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Job>> waiting_;
  int threads_ = 0, idle_ = 0;
};

}  // namespace

void expect_ok(const char* operation, tersor_status status, const tersor_context& context) {
  if (status == TERSOR_OK) return;
  std::string message = context.message;
  if (message.empty()) {
    message = status == TERSOR_CANCELLED       ? "cancelled"
              : status == TERSOR_OUT_OF_MEMORY ? "expected memory, got none"
                                               : "expected the operation to succeed, got an unexplained failure";
  }
  throw Error{code_of(status), std::string(operation) + ": " + message};
}

PendingJobs::~PendingJobs() = default;

void PendingJobs::open_mailbox() {
  const auto mailbox = std::make_shared<Mailbox>();
  napi_value name;
  check(napi_create_string_utf8(env_, "tersor jobs", NAPI_AUTO_LENGTH, &name));
  check(napi_create_threadsafe_function(env_, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, settle_finished,
                                        &mailbox->notify));
  check(napi_unref_threadsafe_function(env_, mailbox->notify));
  mailbox_ = mailbox;
  // After the function's own hook, so run before it.
  check(napi_add_env_cleanup_hook(env_, abandon_all, this));
}

napi_value PendingJobs::start(const Arguments& in, std::unique_ptr<Work> work, std::shared_ptr<int32_t> cancel) {
  if (mailbox_ == nullptr) open_mailbox();
  auto job = std::make_shared<Job>();
  job->operation = in.operation();
  job->work = std::move(work);
  job->cancel = std::move(cancel);
  job->mailbox = mailbox_;
  Pending pending{};
  for (const Use& use : in.uses()) {
    pending.holds.push_back({use.operand.handle->memory, use.access != Access::read});
    job->buffers.push_back(use.operand.handle->memory->buffer);
  }
  napi_value promise;
  check(napi_create_promise(env_, &pending.deferred, &promise));
  const auto entry = pending_.emplace(job, std::move(pending)).first;
  try {
    JobThreads::instance().push(job);
  } catch (...) {
    pending_.erase(entry);
    throw;
  }
  for (const Hold& hold : entry->second.holds) ++(hold.writes ? hold.memory->writers : hold.memory->readers);
  if (pending_.size() == 1) napi_ref_threadsafe_function(env_, mailbox_->notify);  // keeps the process alive
  return promise;
}

void PendingJobs::settle_finished(napi_env env, napi_value, void* context, void*) {
  if (env == nullptr) return;  // the environment is being torn down
  auto& self = *static_cast<PendingJobs*>(context);
  std::vector<std::shared_ptr<Job>> finished;
  {
    std::lock_guard lock(self.mailbox_->mutex);
    finished.swap(self.mailbox_->finished);
  }
  for (const auto& job : finished) {
    try {
      self.settle(*job);
    } catch (...) {
      rethrow_in_javascript(env);
    }
  }
}

void PendingJobs::settle(const Job& job) {
  const auto entry =
      std::find_if(pending_.begin(), pending_.end(), [&](const auto& e) { return e.first.get() == &job; });
  if (entry == pending_.end()) return;
  const Pending pending = std::move(entry->second);
  pending_.erase(entry);
  for (const Hold& hold : pending.holds) --(hold.writes ? hold.memory->writers : hold.memory->readers);
  if (pending_.empty()) napi_unref_threadsafe_function(env_, mailbox_->notify);
  try {
    expect_ok(job.operation, job.status, job.context);
  } catch (const Error& error) {
    check(napi_reject_deferred(env_, pending.deferred, to_javascript(env_, error)));
    return;
  }
  napi_value undefined;
  check(napi_get_undefined(env_, &undefined));
  check(napi_resolve_deferred(env_, pending.deferred, undefined));
}

// The environment ends with jobs in flight (a terminated worker): ask them to stop, and let go of all that is
// JavaScript's. Their threads finish on what the jobs themselves own.
void PendingJobs::abandon_all(void* data) {
  auto& self = *static_cast<PendingJobs*>(data);
  {
    std::lock_guard lock(self.mailbox_->mutex);
    self.mailbox_->open = false;
    self.mailbox_->finished.clear();
  }
  for (const auto& [job, pending] : self.pending_) __atomic_store_n(job->cancel.get(), 1, __ATOMIC_RELAXED);
  self.pending_.clear();
}

}  // namespace tersor::binding
