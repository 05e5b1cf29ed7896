#include "cpp_core/redo/manager/pool.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpp_core/redo/manager/metrics.h"

namespace neon_redo {

WorkerPool::WorkerPool(const ManagerOptions& options, RedoMetrics* metrics)
    : options_(options), metrics_(metrics) {
  Warm();
}

WorkerPool::~WorkerPool() { Close(); }

WorkerPool::Pick WorkerPool::PickLocked() const {
  const std::shared_ptr<PoolWorker>* best = nullptr;
  size_t fewest = 0;
  size_t idle = 0;
  for (const std::shared_ptr<PoolWorker>& worker : workers_) {
    if (!worker->ready()) continue;
    const size_t bytes = worker->bytes_in_flight();
    if (bytes == 0) ++idle;
    // Of equals the first: the others go idle for good, and end.
    if (best != nullptr && bytes >= fewest) continue;
    best = &worker;
    fewest = bytes;
  }
  return {best != nullptr ? *best : nullptr, idle};
}

bool WorkerPool::HasIdleLocked() const {
  return std::any_of(workers_.begin(), workers_.end(), [](const auto& worker) {
    return worker->ready() && worker->requests_in_flight() == 0;
  });
}

Status WorkerPool::GrowLocked() {
  if (closed_ || launching_ || workers_.size() >= options_.max_workers) return {};
  size_t number = 0;
  while (std::any_of(workers_.begin(), workers_.end(),
                     [&](const auto& worker) { return worker->number() == number; })) {
    ++number;
  }
  workers_.push_back(std::make_shared<PoolWorker>(options_, this, number));
  Status started = workers_.back()->Start();
  if (started) {
    launching_ = true;
    ++launches_;
    ++threads_;
  } else {
    workers_.pop_back();
    ++failures_;
    last_failure_ = "could not start a thread for a redo worker: " + started.error().message;
    started = MakeError(started.error().code, last_failure_);
  }
  return started;
}

std::shared_ptr<PoolWorker> WorkerPool::Submit(std::span<const AttemptPtr> attempts,
                                               bool may_drive) {
  while (!attempts.empty()) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto [worker, idle] = PickLocked();
    const Status grown = idle < attempts.size() ? GrowLocked() : Status();
    if (!worker && !grown) {
      lock.unlock();
      Refuse({attempts.begin(), attempts.end()}, grown.error());
      return nullptr;
    }
    if (!worker) {
      waiting_.insert(waiting_.end(), attempts.begin(), attempts.end());
      return nullptr;
    }
    lock.unlock();
    const size_t parts = std::max<size_t>(idle, 1);
    const size_t share = (attempts.size() + parts - 1) / parts;
    const PoolWorker::Accepted accepted = worker->Accept(attempts.first(share), may_drive);
    if (accepted == PoolWorker::Accepted::kRefused) {
      Remove(worker.get());
      continue;
    }
    attempts = attempts.subspan(share);
    if (options_.warm_spare) Warm();
    if (accepted == PoolWorker::Accepted::kDrive) return worker;
  }
  return nullptr;
}

void WorkerPool::Warm() {
  std::lock_guard<std::mutex> lock(mutex_);
  // A spare that cannot be started is missed when there is work for it.
  if (options_.warm_spare && !HasIdleLocked()) static_cast<void>(GrowLocked());
}

bool WorkerPool::RemoveLocked(const PoolWorker* worker) {
  return std::erase_if(workers_, [&](const auto& other) { return other.get() == worker; }) > 0;
}

void WorkerPool::Remove(const PoolWorker* worker) {
  std::lock_guard<std::mutex> lock(mutex_);
  RemoveLocked(worker);
}

void WorkerPool::Launched(const std::shared_ptr<PoolWorker>& worker,
                          std::chrono::nanoseconds duration) {
  if (options_.log) {
    options_.log(LogLevel::kInfo,
                 fmt::format("redo worker {} started in {:.1f} ms", worker->status().pid,
                             std::chrono::duration<double, std::milli>(duration).count()));
  }
  if (metrics() != nullptr) metrics()->WorkerStarted(duration);
  std::deque<AttemptPtr> waiting;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    launching_ = false;
    waiting.swap(waiting_);
    // It is here because the others are busy: it gets its share of what they have not begun.
    for (const std::shared_ptr<PoolWorker>& other : workers_) {
      if (other == worker || !other->ready()) continue;
      for (AttemptPtr& attempt : other->TakeUnsent()) waiting.push_back(std::move(attempt));
    }
  }
  for (const AttemptPtr& attempt : waiting) Submit({&attempt, 1}, false);
}

void WorkerPool::LaunchFailed(const std::shared_ptr<PoolWorker>& worker, const Error& error) {
  if (options_.log) options_.log(LogLevel::kError, error.message);
  std::deque<AttemptPtr> waiting;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    launching_ = false;
    ++failures_;
    last_failure_ = error.message;
    RemoveLocked(worker.get());
    waiting.swap(waiting_);
  }
  Refuse({waiting.begin(), waiting.end()}, error);
}

void WorkerPool::Refuse(const std::vector<AttemptPtr>& attempts, const Error& error) {
  for (const AttemptPtr& attempt : attempts) {
    if (!attempt->Settle()) continue;
    attempt->status = tl::unexpected(error);
    attempt->sink->Done(attempt);
  }
}

bool WorkerPool::ExpireWaiting() {
  std::vector<AttemptPtr> expired;
  bool more = false;
  const Clock::time_point now = Clock::now();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    std::erase_if(waiting_, [&](const AttemptPtr& attempt) {
      if (attempt->settled()) return true;
      if (!attempt->sink_is_slow) return false;
      more = true;
      if (now < attempt->deadline || !attempt->Settle()) return false;
      expired.push_back(attempt);
      return true;
    });
  }
  for (const AttemptPtr& attempt : expired) {
    attempt->status =
        MakeError(ErrorCode::kTimeout, "the deadline passed before a redo worker had started");
    attempt->sink->Done(attempt);
  }
  return more;
}

bool WorkerPool::MayRetire(const std::shared_ptr<PoolWorker>& worker) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto idle = std::count_if(workers_.begin(), workers_.end(), [](const auto& other) {
      return other->ready() && other->requests_in_flight() == 0;
    });
    if (options_.warm_spare && idle <= 1) return false;
    RemoveLocked(worker.get());
  }
  worker->Retire();
  return true;
}

void WorkerPool::Failed(const std::string& description, size_t innocents) {
  if (options_.log) {
    options_.log(LogLevel::kWarning,
                 fmt::format("{}; {} other requests are sent again", description, innocents));
  }
  if (metrics() != nullptr) metrics()->WorkerStopped("failure");
  std::unique_lock<std::mutex> lock(mutex_);
  ++failures_;
  innocents_ += innocents;
  last_failure_ = description;
  lock.unlock();
  Warm();
}

void WorkerPool::Stopped(const char* cause) {
  if (metrics() != nullptr) metrics()->WorkerStopped(cause);
}

void WorkerPool::Ended(const std::shared_ptr<PoolWorker>& worker) {
  JoinEnded();
  std::lock_guard<std::mutex> lock(mutex_);
  --threads_;
  worker->thread_ended = true;
  to_join_.push_back(worker);
  ended_.notify_all();
}

// Never called by a thread that is in the list.
void WorkerPool::JoinEnded() {
  std::vector<std::shared_ptr<PoolWorker>> to_join;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    to_join.swap(to_join_);
  }
  for (const std::shared_ptr<PoolWorker>& worker : to_join) worker->Join();
}

size_t WorkerPool::Quiesce(std::chrono::milliseconds idle_for) {
  std::vector<std::shared_ptr<PoolWorker>> retired;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const std::shared_ptr<PoolWorker>& worker : workers_) {
      const bool idle = worker->requests_in_flight() == 0 && worker->idle_for() >= idle_for;
      if (idle && (worker->ready() || waiting_.empty())) retired.push_back(worker);
    }
    for (const auto& worker : retired) RemoveLocked(worker.get());
  }
  for (const auto& worker : retired) worker->Retire();
  {
    std::unique_lock<std::mutex> lock(mutex_);
    ended_.wait(lock, [&] {
      return std::all_of(retired.begin(), retired.end(),
                         [](const auto& worker) { return worker->thread_ended; });
    });
  }
  JoinEnded();
  return retired.size();
}

// Whatever a worker still does was given up by who asked.
void WorkerPool::Close() {
  for (;;) {
    Quiesce(std::chrono::milliseconds(0));
    std::unique_lock<std::mutex> lock(mutex_);
    closed_ = true;
    for (const auto& worker : workers_) worker->Abandon();
    if (threads_ == 0 && to_join_.empty()) return;
    // Those that were ending by themselves.
    ended_.wait_for(lock, std::chrono::milliseconds(10), [this] { return threads_ == 0; });
  }
}

void WorkerPool::Report(ManagerStatus* status) const {
  std::lock_guard<std::mutex> lock(mutex_);
  for (const std::shared_ptr<PoolWorker>& worker : workers_) {
    status->workers.push_back(worker->status());
  }
  status->waiting = waiting_.size();
  status->launches = launches_;
  status->worker_failures = failures_;
  status->innocents_resent = innocents_;
  status->last_failure = last_failure_;
}

}  // namespace neon_redo
