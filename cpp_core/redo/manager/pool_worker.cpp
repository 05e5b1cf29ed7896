// What callers do: hand in attempts, and write them to the pipe. pool_worker_answers.cpp reads what
// comes back, pool_worker_thread.cpp launches the process and ends it.
#include "cpp_core/redo/manager/pool_worker.h"

#include <fcntl.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "cpp_core/base/guard.h"

namespace neon_redo {

namespace {

using Turn = PipeLoop::Turn;
using std::chrono::milliseconds;

// Frames are made when there is room for them in the pipe, not long before.
constexpr size_t kQueueAhead = 65536;

// What is under way at once when thread and worker share a processor. They take turns then, and
// what one has just written the other finds in the processor's cache.
constexpr size_t kRound = 96 * 1024;

// As much as the worker reads at once (src/worker/serve.cpp).
constexpr int kLargeInputPipe = 256 * 1024;

}  // namespace

PoolWorker::PoolWorker(const ManagerOptions& options, WorkerPool* pool, size_t number)
    : options_(options),
      pool_(pool),
      number_(number),
      last_used_(born_.time_since_epoch().count()) {}

Status PoolWorker::Start() {
  return Guarded([this]() -> Status {
    thread_ = std::thread([self = shared_from_this()] { self->Run(); });
    return {};
  });
}

void PoolWorker::Wake() {
  if (!woken_.exchange(true)) wake_.Set();
}

// ---- What callers do ----

PoolWorker::Accepted PoolWorker::Accept(std::span<const AttemptPtr> attempts, bool may_drive) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::kReady || failure_) return Accepted::kRefused;
  const bool lone = !under_way() && !driven();
  const Clock::time_point created = attempts.back()->created;
  last_used_.store(created.time_since_epoch().count(), std::memory_order_relaxed);
  size_t bytes = 0;
  bool slow = false;
  for (const AttemptPtr& attempt : attempts) {
    unsent_.push_back(attempt);
    bytes += attempt->frames_size;
    if (attempt->sink_is_slow) {
      ++slow_sinks_;
      slow = true;
    }
  }
  bytes_ += bytes;
  count_ += attempts.size();
  if (options_.follow_caller) {
    if (lone && may_drive) {
      hold_.FollowCaller();
    } else {
      hold_.Release();
    }
  }
  SendMore();
  if (lone && may_drive) {
    driver_ = Driver::kCaller;
    return Accepted::kDrive;
  }
  // The thread sees it by itself when it drives.
  if (!driven() || (slow && driver_ == Driver::kCaller)) Wake();
  return Accepted::kTaken;
}

void PoolWorker::Drive(const AttemptPtr& own) { DriveUntil(&own); }

void PoolWorker::Retire() {
  std::lock_guard<std::mutex> lock(mutex_);
  ready_ = false;
  if (state_ == State::kReady || state_ == State::kStarting) state_ = State::kRetiring;
  Wake();
}

void PoolWorker::Abandon() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::kReady && state_ != State::kRetiring) return;
  abandoned_ = true;
  session_->child().Kill();
}

std::chrono::nanoseconds PoolWorker::idle_for() const {
  if (requests_in_flight() > 0) return std::chrono::nanoseconds(0);
  return Clock::now().time_since_epoch() -
         Clock::duration(last_used_.load(std::memory_order_relaxed));
}

WorkerStatus PoolWorker::status() const {
  using std::chrono::duration_cast;
  WorkerStatus status;
  std::lock_guard<std::mutex> lock(mutex_);
  status.pid = session_ ? session_->child().pid() : 0;
  status.starting = state_ == State::kStarting;
  status.answers = answers_;
  status.requests_in_flight = requests_in_flight();
  status.bytes_in_flight = bytes_in_flight();
  status.age = duration_cast<milliseconds>(Clock::now() - born_);
  status.idle_for = duration_cast<milliseconds>(idle_for());
  status.processor = hold_.processor();
  if (session_) status.sandbox = session_->layers();
  return status;
}

std::deque<AttemptPtr> PoolWorker::TakeUnsent() {
  std::lock_guard<std::mutex> lock(mutex_);
  for (const AttemptPtr& attempt : unsent_) Drop(attempt);
  return std::exchange(unsent_, {});
}

// ---- Sending, under the mutex ----

void PoolWorker::Drop(const AttemptPtr& attempt) {
  bytes_ -= attempt->frames_size;
  --count_;
  if (attempt->sink_is_slow) --slow_sinks_;
}

// Bytes of frames of sent_, not empty.
size_t PoolWorker::BytesSent() const {
  const Attempt& head = *sent_.front();
  return static_cast<size_t>(frames_.queued() - head.end) + head.frames_size;
}

// Makes frames and writes them while the pipe takes them. False: it takes no more now. May fail.
bool PoolWorker::SendMore() {
  const Clock::time_point now = unsent_.empty() ? Clock::time_point() : Clock::now();
  while (!pipe_full_ && !failure_) {
    while (!unsent_.empty() && frames_.unsent() < kQueueAhead) {
      const AttemptPtr& next = unsent_.front();
      next->first = sent_.empty();
      // What an idle worker sends, or its end, is no answer to the next request, nor that one's
      // fault.
      const Turn idle = next->first ? session_->pipe().CheckIdle() : Turn::kProgress;
      if (idle != Turn::kProgress) {
        Fail(idle);
        Wake();
        return true;
      }
      if (!sent_.empty() && (next->alone || sent_.back()->alone)) break;
      if (sent_.size() >= window_) break;
      if (hold_.paired() && !sent_.empty() && BytesSent() + next->frames_size > kRound) break;
      if (next->StoreFrames([&] { return frames_.Grow(next->frames_size); })) {
        next->end = frames_.queued();
        next->sent_at = now;
        if (sent_.empty()) head_since_ = next->sent_at;
        sent_.push_back(next);
      } else {
        Drop(next);
      }
      unsent_.pop_front();
    }
    if (frames_.unsent() == 0) return true;
    pipe_full_ = !frames_.Send(session_->child().input());
    if (pipe_full_ && !std::exchange(input_enlarged_, true)) {
      pipe_full_ = fcntl(session_->child().input(), F_SETPIPE_SZ, kLargeInputPipe) < 0;
    }
  }
  return false;
}

}  // namespace neon_redo
