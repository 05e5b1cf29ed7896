// The worker's thread: it launches the process, drives when no caller does, notices the process's
// end, reaps it, and ends with it.
//
// A worker that dies takes with it answers that it has not written yet. Which request was its death
// is known only when that request was alone. So when there were several, none is blamed: each is
// sent again, alone on a worker, where a second failure can only be its own.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "cpp_core/base/guard.h"
#include "cpp_core/base/try.h"
#include "cpp_core/redo/manager/pool.h"
#include "cpp_core/redo/manager/pool_worker.h"
#include "cpp_core/redo/manager/time_slice.h"
#include "cpp_core/redo/worker/worker_session.h"

namespace neon_redo {

namespace {

using Turn = PipeLoop::Turn;
using std::chrono::milliseconds;

}  // namespace

void PoolWorker::Run() {
  const std::shared_ptr<PoolWorker> self = shared_from_this();
  AskForShortTimeSlices();
  if (const Status status = Guarded([this] { return Launch(); }); status) {
    pool_->Launched(self, Clock::now() - born_);
    Serve();
  } else {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      state_ = State::kEnded;
      session_.reset();
    }
    pool_->LaunchFailed(self, status.error());
  }
  pool_->Ended(self);
}

Status PoolWorker::Launch() {
  const auto keep = [this](WorkerSession launched) {
    std::lock_guard<std::mutex> lock(mutex_);
    session_.reset();
    session_.emplace(std::move(launched));
    ChildProcess& child = session_->child();
    // Twice the answers under way, so that all of them and noise, too, are written whole. Beyond a
    // user's limit (fs.pipe-user-pages-soft) the pipe stays as it is, and fewer are under way.
    fcntl(child.output(), F_SETPIPE_SZ, static_cast<int>(2 * options_.worker.window * kBlockSize));
    const int capacity = fcntl(child.output(), F_GETPIPE_SZ);
    window_ = std::clamp<size_t>(static_cast<size_t>(std::max(capacity, 0)) / (2 * kBlockSize), 1,
                                 options_.worker.window);
    hold_.Reset(child.pid());
    input_enlarged_ = false;
    return &*session_;
  };
  const auto pause = [this]() -> Clock::duration {
    return pool_->ExpireWaiting() ? Clock::duration(kDeadlineCheck) : options_.worker.timeout;
  };
  RETURN_IF_ERROR(StartSession(options_.worker, keep, pause));
  std::lock_guard<std::mutex> lock(mutex_);
  have_ = 0;
  ready_ = state_ == State::kStarting;
  if (state_ == State::kStarting) state_ = State::kReady;
  return {};
}

void PoolWorker::Serve() {
  for (;;) {
    std::vector<AttemptPtr> concluded;
    std::unique_lock<std::mutex> lock(mutex_);
    concluded.swap(concluded_);
    const bool drive = !failure_ && !driven() && under_way();
    if (drive) driver_ = Driver::kThread;
    const bool failed = failure_ && !driven();
    const bool over = state_ == State::kRetiring && !driven() && !under_way();
    lock.unlock();
    for (const AttemptPtr& attempt : concluded) attempt->sink->Done(attempt);
    if (drive) {
      DriveUntil(nullptr);
    } else if (failed) {
      return HandleFailure();
    } else if (over) {
      return EndQuietly();
    } else if (concluded.empty()) {
      WaitForWork();
    }
  }
}

void PoolWorker::WaitForWork() {
  std::unique_lock<std::mutex> lock(mutex_);
  const bool mine = !driven();
  const bool deadlines = slow_sinks_ > 0;
  const int output = session_->child().output();
  lock.unlock();
  const Clock::duration left = options_.idle_timeout - idle_for();
  const milliseconds patience = deadlines ? kDeadlineCheck
                                          : std::clamp(std::chrono::ceil<milliseconds>(left),
                                                       milliseconds(1), milliseconds(3'600'000));
  // No events of the output are asked for: its end is reported anyway.
  pollfd ready[2] = {{wake_.fd(), POLLIN, 0}, {mine ? output : -1, 0, 0}};
  const int count = poll(ready, 2, static_cast<int>(patience.count()));
  if (count > 0 && ready[0].revents != 0) {
    wake_.Clear();
    woken_ = false;
  }
  if (count > 0 && ready[1].revents != 0) {
    lock.lock();
    if (!driven() && !under_way()) Fail(Turn::kClosed);
    return;
  }
  if (count != 0) return;
  std::vector<AttemptPtr> expired;
  lock.lock();
  Expire(&expired);
  lock.unlock();
  for (const AttemptPtr& attempt : expired) attempt->sink->Done(attempt);
  if (idle_for() >= options_.idle_timeout) pool_->MayRetire(shared_from_this());
}

// Under the mutex.
void PoolWorker::Fail(Turn turn) {
  ready_ = false;
  if (!failure_)
    failure_ = Failure{turn, have_ > 0,
                       std::chrono::duration_cast<milliseconds>(Clock::now() - head_since_)};
}

void PoolWorker::HandleFailure() {
  pool_->Remove(this);
  std::unique_lock<std::mutex> lock(mutex_);
  std::deque<AttemptPtr> sent;
  std::deque<AttemptPtr> innocents;
  sent.swap(sent_);
  innocents.swap(unsent_);
  frames_.Clear();
  bytes_ = 0;
  count_ = 0;
  slow_sinks_ = 0;
  const Failure failure = *failure_;
  const bool abandoned = abandoned_;
  lock.unlock();

  AttemptPtr culprit;
  if (sent.size() == 1 && sent.front()->first) {
    culprit = sent.front();
  } else {
    for (auto at = sent.rbegin(); at != sent.rend(); ++at) {
      (*at)->alone = true;
      innocents.push_front(*at);
    }
  }
  std::erase_if(innocents, [](const AttemptPtr& attempt) { return attempt->settled(); });
  const size_t count = innocents.size();
  for (const AttemptPtr& attempt : innocents) pool_->Submit({&attempt, 1}, false);
  const WorkerFailure reaped = Reap(failure);
  if (abandoned) return pool_->Stopped("shutdown");
  pool_->Failed(reaped.what, count);
  if (culprit && culprit->Settle()) {
    culprit->status = MakeError(reaped.code, reaped.what);
    culprit->worker_failed = true;
    culprit->sink->Done(culprit);
  }
}

WorkerFailure PoolWorker::Reap(const Failure& failure) {
  const std::string name = fmt::format("redo worker {}", session_->child().pid());
  WorkerFailure reaped = session_->Fail(failure.turn, name, failure.amid_answer, failure.after,
                                        "bytes that are not the answer");
  std::lock_guard<std::mutex> lock(mutex_);
  state_ = State::kEnded;
  session_.reset();
  return reaped;
}

void PoolWorker::EndQuietly() {
  pool_->Remove(this);
  session_->End();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    state_ = State::kEnded;
    session_.reset();
  }
  pool_->Stopped("idle");
}

}  // namespace neon_redo
