// A call makes a job of each request and takes the jobs through their steps: in the caller's thread
// when it waits, in workers' threads when it does not. A step that needs a worker is an attempt,
// which goes through the pool.
#include "neon_redo/manager.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "cpp_core/base/try.h"
#include "cpp_core/redo/manager/capture.h"
#include "cpp_core/redo/manager/metrics.h"
#include "cpp_core/redo/manager/page_job.h"
#include "cpp_core/redo/manager/pool.h"
#include "cpp_core/redo/worker/command_line.h"

namespace neon_redo {

namespace {

size_t UsableProcessors() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? static_cast<size_t>(CPU_COUNT(&set)) : 1;
}

// That the options name a version that is served, if they name none themselves.
Status CheckServer(const WorkerOptions& worker) {
  if (worker.version == nullptr) RETURN_IF_ERROR(VersionOf(worker.bindir, worker.module));
  return {};
}

ManagerOptions Completed(ManagerOptions options) {
  if (options.max_workers == 0) options.max_workers = UsableProcessors();
  WorkerOptions& worker = options.worker;
  // Where that is an error, each request fails with it.
  if (worker.version == nullptr)
    worker.version = VersionOf(worker.bindir, worker.module).value_or(&BuildVersion());
  return options;
}

std::unique_ptr<RedoMetrics> MakeMetrics(const ManagerOptions& options) {
  return options.metrics ? std::make_unique<RedoMetrics>(options.metrics) : nullptr;
}

// A caller who waits for attempts. The pool calls Done last of all, so the object may go when Take
// has given out as many attempts as were handed in.
class Waiter final : public AttemptSink {
 public:
  void Done(const AttemptPtr& attempt) override {
    bool wake;
    // The waiter may be gone once the lock is free. It is woken when it can have the lock: else it
    // would run, wait for the lock, and run again.
    const std::shared_ptr<State> state = state_;
    {
      std::lock_guard<std::mutex> lock(state->mutex);
      state->done.push_back(attempt);
      if (!attempt->status || state->eager) state->due = true;
      wake = state->due || state->done.size() == state->expected;
    }
    if (wake) state->arrived.notify_one();
  }
  bool wants_worker_thread() const override { return false; }

  // Waits until `outstanding` attempts are done, or one that needs something, or the deadline.
  std::vector<AttemptPtr> Take(size_t outstanding, Clock::time_point deadline) {
    std::unique_lock<std::mutex> lock(state_->mutex);
    state_->expected = outstanding;
    state_->arrived.wait_until(lock, deadline,
                               [&] { return state_->due || state_->done.size() >= outstanding; });
    state_->due = false;
    return std::exchange(state_->done, {});
  }

  // Wakes for each attempt: for jobs that continue after their first one.
  void set_eager() {
    std::lock_guard<std::mutex> lock(state_->mutex);
    state_->eager = true;
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable arrived;
    std::vector<AttemptPtr> done;
    size_t expected = SIZE_MAX;
    bool eager = false;
    bool due = false;  // an attempt is there that may need another
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Requests of a batch that are handed to the pool together.
constexpr size_t kPiece = 8;

}  // namespace

class RedoManager::Impl {
 public:
  explicit Impl(ManagerOptions options)
      : server_(CheckServer(options.worker)),
        options_(Completed(std::move(options))),
        metrics_(MakeMetrics(options_)),
        counts_(metrics_.get()),
        capture_(options_.capture_dir, options_.capture_max_files, options_.capture_max_bytes,
                 *options_.worker.version),
        pool_(options_, metrics_.get()) {}

  Result<PageImage> Run(const PageRequest& request);
  std::vector<Result<PageImage>> RunBatch(std::span<const PageRequest> requests);
  void RunAsync(const PageRequest& request, Completion completion);
  Status Ping();
  ManagerStatus Report() const;
  size_t Quiesce(std::chrono::milliseconds idle_for) { return pool_.Quiesce(idle_for); }
  void Shutdown();

 private:
  class AsyncJob;

  // Counts requests, so that Shutdown can wait for them. An error after Shutdown has begun, and where
  // the options name no version that is served.
  Status Enter(size_t count);
  void Leave(size_t count);
  // Attempts under way point into its frame, so no exception may leave it.
  void RunJobs(std::span<PageJob* const> jobs) noexcept;
  Result<PageImage> Conclude(PageJob* job);
  PageJob MakeJob(const PageRequest& request, Clock::time_point now) {
    if (metrics_) metrics_->RequestStarted();
    return PageJob(request, now, now + request.deadline.value_or(options_.deadline),
                   options_.engine, *options_.worker.version, &counts_, metrics_ != nullptr);
  }
  void CountRetry() {
    ++retries_;
    if (metrics_) metrics_->Retried();
  }

  const Status server_;
  const ManagerOptions options_;
  const std::unique_ptr<RedoMetrics> metrics_;  // or null
  RecordCounts counts_;
  FailureCapture capture_;
  std::mutex mutex_;
  std::condition_variable left_;
  bool closed_ = false;
  std::atomic<size_t> active_ = 0;
  std::atomic<uint64_t> retries_ = 0;
  std::atomic<uint64_t> failed_ = 0;
  WorkerPool pool_;
};

Status RedoManager::Impl::Enter(size_t count) {
  if (!server_) return server_;
  std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return MakeError(ErrorCode::kShutdown, "the redo manager is shut down");
  active_ += count;
  return {};
}

void RedoManager::Impl::Leave(size_t count) {
  std::lock_guard<std::mutex> lock(mutex_);
  active_ -= count;
  if (active_ == 0) left_.notify_all();
}

Result<PageImage> RedoManager::Impl::Conclude(PageJob* job) {
  if (job->status()) {
    if (metrics_) {
      metrics_->RequestDone(Clock::now() - job->start(), job->wait_time(), job->native_time(),
                            job->worker_time(), job->request().records.size(), job->RecordBytes());
    }
    return job->TakeResult();
  }
  const Error& error = job->status().error();
  ++failed_;
  if (metrics_) metrics_->RequestFailed(error.code);
  const std::string kept = capture_.Keep(job->request(), error);
  if (options_.log) {
    options_.log(LogLevel::kError, error.message + (kept.empty() ? "" : "; kept as " + kept));
  }
  return job->TakeResult();
}

Result<PageImage> RedoManager::Impl::Run(const PageRequest& request) {
  RETURN_IF_ERROR(Enter(1));
  PageJob job = MakeJob(request, Clock::now());
  PageJob* const jobs[] = {&job};
  RunJobs(jobs);
  Result<PageImage> result = Conclude(&job);
  Leave(1);
  return result;
}

std::vector<Result<PageImage>> RedoManager::Impl::RunBatch(std::span<const PageRequest> requests) {
  std::vector<Result<PageImage>> results;
  results.reserve(requests.size());
  if (const Status entered = Enter(requests.size()); !entered) {
    results.assign(requests.size(), tl::unexpected(entered.error()));
    return results;
  }
  const Clock::time_point now = Clock::now();
  std::vector<PageJob> jobs;
  jobs.reserve(requests.size());
  std::vector<PageJob*> pointers;
  pointers.reserve(requests.size());
  for (const PageRequest& request : requests) {
    jobs.push_back(MakeJob(request, now));
    pointers.push_back(&jobs.back());
  }
  RunJobs(pointers);
  for (PageJob& job : jobs) results.push_back(Conclude(&job));
  Leave(requests.size());
  return results;
}

void RedoManager::Impl::RunJobs(std::span<PageJob* const> jobs) noexcept {
  Waiter waiter;
  std::vector<AttemptPtr> under_way(jobs.size());  // those without one are finished
  size_t outstanding = 0;
  std::vector<AttemptPtr> piece;
  const auto submit_piece = [&] {
    if (const auto worker = pool_.Submit(piece, jobs.size() == 1)) worker->Drive(piece.front());
    piece.clear();
  };
  const auto prepare = [&](size_t i) {
    under_way[i] = jobs[i]->MakeAttempt(&waiter, i);
    ++outstanding;
    piece.push_back(under_way[i]);
    if (piece.size() == kPiece) submit_piece();
  };
  for (size_t i = 0; i < jobs.size(); ++i) {
    const PageJob::Next next = jobs[i]->Begin();
    if (jobs[i]->has_own_records()) waiter.set_eager();
    if (next == PageJob::Next::kWorker) prepare(i);
  }
  submit_piece();
  while (outstanding > 0) {
    Clock::time_point deadline = Clock::time_point::max();
    for (size_t i = 0; i < jobs.size(); ++i) {
      if (under_way[i]) deadline = std::min(deadline, jobs[i]->deadline());
    }
    for (const AttemptPtr& attempt : waiter.Take(outstanding, deadline)) {
      under_way[attempt->index] = nullptr;
      --outstanding;
      PageJob* job = jobs[attempt->index];
      if (job->Take(attempt) != PageJob::Next::kWorker) continue;
      if (!attempt->status) CountRetry();
      prepare(attempt->index);
    }
    submit_piece();
    const Clock::time_point now = Clock::now();
    if (now < deadline) continue;
    for (size_t i = 0; i < jobs.size(); ++i) {
      if (!under_way[i] || now < jobs[i]->deadline() || !under_way[i]->Withdraw()) continue;
      under_way[i] = nullptr;
      --outstanding;
      jobs[i]->GiveUp();
    }
  }
}

// Owns itself until its completion is called.
class RedoManager::Impl::AsyncJob final : public AttemptSink {
 public:
  AsyncJob(Impl* impl, const PageRequest& request, Completion completion)
      : impl_(impl),
        job_(impl->MakeJob(request, Clock::now())),
        completion_(std::move(completion)) {}

  void Begin() { Step(job_.Begin()); }

  void Done(const AttemptPtr& attempt) override {
    const PageJob::Next next = job_.Take(attempt);
    if (next == PageJob::Next::kWorker && !attempt->status) impl_->CountRetry();
    Step(next);
  }
  bool wants_worker_thread() const override { return true; }

 private:
  void Step(PageJob::Next next) {
    if (next == PageJob::Next::kWorker) {
      const AttemptPtr attempt = job_.MakeAttempt(this, 0);
      impl_->pool_.Submit({&attempt, 1}, false);
      return;
    }
    Impl* impl = impl_;
    {
      const std::unique_ptr<AsyncJob> self(this);
      completion_(impl->Conclude(&job_));
    }
    impl->Leave(1);
  }

  Impl* const impl_;
  PageJob job_;
  Completion completion_;
};

void RedoManager::Impl::RunAsync(const PageRequest& request, Completion completion) {
  if (const Status entered = Enter(1); !entered) {
    completion(tl::unexpected(entered.error()));
    return;
  }
  (new AsyncJob(this, request, std::move(completion)))->Begin();
}

Status RedoManager::Impl::Ping() {
  RETURN_IF_ERROR(Enter(1));
  Waiter waiter;
  const Clock::time_point deadline = Clock::now() + options_.deadline;
  const auto attempt = std::make_shared<Attempt>(RecordRun{}, nullptr, deadline, &waiter, 0);
  if (const auto worker = pool_.Submit({&attempt, 1}, true)) worker->Drive(attempt);
  bool answered = !waiter.Take(1, deadline).empty();
  const bool late = !answered && attempt->Withdraw();
  while (!answered && !late) answered = !waiter.Take(1, Clock::time_point::max()).empty();
  Leave(1);
  if (late) return MakeError(ErrorCode::kTimeout, "no redo worker answered before the deadline");
  return attempt->status;
}

ManagerStatus RedoManager::Impl::Report() const {
  ManagerStatus status;
  status.requests = active_;
  status.retries = retries_;
  status.failed_requests = failed_;
  status.records = counts_.Kinds(*options_.worker.version);
  pool_.Report(&status);
  return status;
}

void RedoManager::Impl::Shutdown() {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    closed_ = true;
    left_.wait(lock, [this] { return active_ == 0; });
  }
  pool_.Close();
}

RedoManager::RedoManager(ManagerOptions options) : impl_(new Impl(std::move(options))) {}
RedoManager::~RedoManager() { Shutdown(); }

Result<PageImage> RedoManager::RequestRedo(const PageRequest& request) {
  return impl_->Run(request);
}
std::vector<Result<PageImage>> RedoManager::RequestRedoBatch(
    std::span<const PageRequest> requests) {
  return impl_->RunBatch(requests);
}
void RedoManager::RequestRedoAsync(const PageRequest& request, Completion completion) {
  impl_->RunAsync(request, std::move(completion));
}
Status RedoManager::Ping() { return impl_->Ping(); }
ManagerStatus RedoManager::status() const { return impl_->Report(); }
size_t RedoManager::Quiesce(std::chrono::milliseconds idle_for) { return impl_->Quiesce(idle_for); }
void RedoManager::Shutdown() { impl_->Shutdown(); }

}  // namespace neon_redo
