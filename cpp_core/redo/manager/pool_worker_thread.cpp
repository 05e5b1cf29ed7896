// The worker's thread: it launches the process, drives when no caller does, notices the process's
// end, reaps it, and ends with it.
//
// A worker that dies takes with it answers that it has not written yet, and we cannot tell which
// request was its death unless it was alone. So when there were several, none is blamed: each is
// sent again, alone on a worker, where a second failure can only be its own.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "cpp_core/base/try.h"
#include "cpp_core/redo/manager/pool.h"
#include "cpp_core/redo/manager/pool_worker.h"
#include "cpp_core/redo/manager/time_slice.h"
#include "cpp_core/redo/worker/frames.h"
#include "cpp_core/redo/worker/request_frames.h"
#include "cpp_core/redo/worker/start_worker.h"
#include "cpp_core/redo/worker/worker_end.h"

namespace neon_redo {

namespace {

using Turn = PipeLoop::Turn;
using std::chrono::milliseconds;

// How long a worker that closed its output, or was told to end, may take to end.
constexpr milliseconds kGrace{500};

milliseconds UntilRoundedUp(Clock::time_point then) {
  return std::max(std::chrono::ceil<milliseconds>(then - Clock::now()), milliseconds(0));
}

}  // namespace

void PoolWorker::Run() {
  const std::shared_ptr<PoolWorker> self = shared_from_this();
  AskForShortTimeSlices();
  if (const Status status = Launch(); status) {
    pool_->Launched(self, Clock::now() - born_);
    Serve();
  } else {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      state_ = State::kEnded;
      pipe_.reset();
      child_.reset();
    }
    pool_->LaunchFailed(self, status.error());
  }
  pool_->Ended(self);
}

// One that somebody killed while it started says nothing about the next.
Status PoolWorker::Launch() {
  const Clock::time_point deadline = Clock::now() + options_.worker.timeout;
  bool killed = false;
  Status status = LaunchOnce(&killed);
  while (!status && killed && Clock::now() < deadline) status = LaunchOnce(&killed);
  return status;
}

Status PoolWorker::LaunchOnce(bool* killed) {
  *killed = false;
  ASSIGN_OR_RETURN(StartedWorker started, StartWorker(options_.worker));
  {
    std::lock_guard<std::mutex> lock(mutex_);
    child_.reset();
    child_.emplace(std::move(started.child));
    pipe_.emplace(child_->input(), child_->output(), child_->error());
    // Twice the answers under way, so that all of them and noise, too, are written whole. Beyond a
    // user's limit (fs.pipe-user-pages-soft) the pipe stays as it is, and fewer are under way.
    fcntl(child_->output(), F_SETPIPE_SZ,
          static_cast<int>(2 * options_.worker.window * kBlockSize));
    const int capacity = fcntl(child_->output(), F_GETPIPE_SZ);
    window_ = std::clamp<size_t>(static_cast<size_t>(std::max(capacity, 0)) / (2 * kBlockSize), 1,
                                 options_.worker.window);
    hold_.Reset(child_->pid());
    layers_ = started.layers;
    input_enlarged_ = false;
  }
  bool ended = false;
  const Status greeted = Greet(Clock::now() + options_.worker.timeout, &ended);
  if (greeted) {
    std::lock_guard<std::mutex> lock(mutex_);
    have_ = 0;
    ready_ = state_ == State::kStarting;
    if (state_ == State::kStarting) state_ = State::kReady;
    return {};
  }
  const ChildExit exit = child_->Finish(ended ? kGrace : milliseconds(0));
  pipe_->DrainError(Clock::now() + kGrace);
  *killed = ended && exit.signal == SIGKILL;
  return MakeError(
      greeted.error().code,
      fmt::format("could not start a redo worker: {} ({}){}", greeted.error().message,
                  DescribeEnd(exit, pipe_->messages()), DescribeMessages(pipe_->messages())));
}

// A new worker answers a ping before it gets work, so that a failure to start is told apart from a
// request that kills; and its home can go then.
Status PoolWorker::Greet(Clock::time_point deadline, bool* ended) {
  OutQueue ping;
  QueuePing(&ping);
  pipe_->Send(&ping);
  std::vector<uint8_t> answer(kBlockSize);
  size_t have = 0;
  while (have < kBlockSize) {
    const bool look_after_waiting = pool_->ExpireWaiting();
    const Clock::time_point until =
        look_after_waiting ? std::min(deadline, Clock::now() + kDeadlineCheck) : deadline;
    size_t received = 0;
    const Turn turn =
        pipe_->Wait(false, std::span<uint8_t>(answer).subspan(have), until, &received);
    have += received;
    if (turn == Turn::kTimeout && Clock::now() >= deadline) {
      return MakeError(ErrorCode::kTimeout,
                       fmt::format("no answer within {} ms", options_.worker.timeout.count()));
    }
    if (turn == Turn::kClosed) {
      *ended = true;
      return MakeError(ErrorCode::kWorker, "it ended");
    }
    if (turn == Turn::kSurplus) {
      return MakeError(ErrorCode::kWorker, "it sent more bytes than were asked for");
    }
  }
  if (std::any_of(answer.begin(), answer.end(), [](uint8_t byte) { return byte != 0; })) {
    return MakeError(ErrorCode::kWorker, "it did not answer a ping with zeroes");
  }
  pipe_->ForgetMessages();
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
  const int output = child_->output();
  lock.unlock();
  const Clock::duration left = options_.idle_timeout - idle_for();
  const milliseconds patience = deadlines ? kDeadlineCheck
                                          : std::clamp(std::chrono::ceil<milliseconds>(left),
                                                       milliseconds(1), milliseconds(3'600'000));
  // No events of the output are asked for: its end is reported anyway.
  pollfd ready[2] = {{wake_, POLLIN, 0}, {mine ? output : -1, 0, 0}};
  const int count = poll(ready, 2, static_cast<int>(patience.count()));
  if (count > 0 && ready[0].revents != 0) {
    uint64_t ignored;
    [[maybe_unused]] const ssize_t n = read(wake_, &ignored, sizeof(ignored));
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
  const std::string description = ReapAndDescribe(failure);
  if (abandoned) return pool_->Stopped("shutdown");
  pool_->Failed(description, count);
  if (culprit && culprit->Settle()) {
    culprit->status = MakeError(
        failure.turn == Turn::kTimeout ? ErrorCode::kTimeout : ErrorCode::kWorker, description);
    culprit->worker_failed = true;
    culprit->sink->Done(culprit);
  }
}

std::string PoolWorker::ReapAndDescribe(const Failure& failure) {
  std::string text;
  const Clock::time_point patience = Clock::now() + kGrace;
  if (failure.turn == Turn::kClosed) {
    pipe_->DrainError(patience);
    const ChildExit exit = child_->Finish(UntilRoundedUp(patience));
    text = fmt::format("redo worker {} ended {} ({})", child_->pid(),
                       failure.amid_answer ? "amid an answer" : "without an answer",
                       DescribeEnd(exit, pipe_->messages()));
  } else {
    child_->Finish(milliseconds(0));
    pipe_->DrainError(patience);
    text = failure.turn == Turn::kTimeout
               ? fmt::format("redo worker {} gave no {} within {} ms; it was killed", child_->pid(),
                             failure.amid_answer ? "whole answer" : "answer", failure.after.count())
               : fmt::format("redo worker {} sent bytes that are not the answer; it was killed",
                             child_->pid());
  }
  text += DescribeMessages(pipe_->messages());
  std::lock_guard<std::mutex> lock(mutex_);
  state_ = State::kEnded;
  pipe_.reset();
  child_.reset();
  return text;
}

void PoolWorker::EndQuietly() {
  pool_->Remove(this);
  child_->CloseInput();
  child_->Finish(kGrace);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    state_ = State::kEnded;
    pipe_.reset();
    child_.reset();
  }
  pool_->Stopped("idle");
}

}  // namespace neon_redo
