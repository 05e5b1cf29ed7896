// Answers carry no header, so what tells that the k-th 8192 bytes are the k-th answer is that
// everything adds up. One stray byte on the worker's stdout would shift all answers behind it.
// Therefore an answer counts only if its LSN can be the requested page's, and if what follows it is
// nothing, or can be the beginning of the next. If not, no answer that is still under way counts.
// The pipe has room for all answers under way, so that the worker's writes are whole answers and
// nothing can come between two halves of one.
//
// A worker that dies takes with it answers that it has not written yet, and we cannot tell which
// request was its death unless it was alone. So when there were several, none is blamed: each is
// sent again, alone on a worker, where a second failure can only be its own.
#include "cpp_core/redo/manager/pool_worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "cpp_core/redo/frames.h"
#include "cpp_core/redo/manager/pool.h"
#include "cpp_core/redo/request_frames.h"
#include "cpp_core/redo/start_worker.h"

namespace neon_redo {

namespace {

using Turn = PipeLoop::Turn;
using std::chrono::milliseconds;

// Frames are made when there is room for them in the pipe, not long before.
constexpr size_t kQueueAhead = 65536;

// Answers taken with one read: what a pipe holds.
constexpr size_t kAnswersAtOnce = 8;

// How long a worker that closed its output, or was told to end, may take to end.
constexpr milliseconds kGrace{500};

// How often the thread looks after deadlines that nobody else looks after.
constexpr milliseconds kDeadlineCheck{20};

milliseconds UntilRoundedUp(Clock::time_point then) {
  return std::max(std::chrono::ceil<milliseconds>(then - Clock::now()), milliseconds(0));
}

}  // namespace

PoolWorker::PoolWorker(const ManagerOptions& options, WorkerPool* pool)
    : options_(options), pool_(pool), last_used_(born_.time_since_epoch().count()) {}

PoolWorker::~PoolWorker() {
  if (wake_ >= 0) close(wake_);
}

void PoolWorker::Start() {
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  thread_ = std::thread([self = shared_from_this()] { self->Run(); });
}

void PoolWorker::Wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = write(wake_, &one, sizeof(one));
}

// ---- What callers do ----

PoolWorker::Accepted PoolWorker::Accept(const AttemptPtr& attempt, bool may_drive) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::kReady || failure_) return Accepted::kRefused;
  const bool lone = !under_way() && !driven_;
  if (lone && pipe_->CheckIdle() != Turn::kProgress) {
    Fail(Turn::kClosed);
    Wake();
    return Accepted::kRefused;
  }
  last_used_.store(attempt->created.time_since_epoch().count(), std::memory_order_relaxed);
  attempt->set_worker(shared_from_this());
  unsent_.push_back(attempt);
  bytes_ += attempt->bytes;
  ++count_;
  if (attempt->sink_is_slow) ++slow_sinks_;
  if (options_.follow_caller) {
    if (lone && may_drive) {
      hold_.FollowCaller();
    } else {
      hold_.Release();
    }
  }
  SendMore();
  if (lone && may_drive) {
    driven_ = true;
    return Accepted::kDrive;
  }
  if (!driven_ || attempt->sink_is_slow) Wake();
  return Accepted::kTaken;
}

void PoolWorker::Drive(const AttemptPtr& own) { DriveUntil(&own); }

void PoolWorker::Retire() {
  std::lock_guard<std::mutex> lock(mutex_);
  ready_ = false;
  if (state_ == State::kReady || state_ == State::kStarting) state_ = State::kRetiring;
  Wake();
}

void PoolWorker::Release(const Attempt& attempt) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto at = std::find_if(sent_.begin(), sent_.end(),
                               [&](const AttemptPtr& other) { return other.get() == &attempt; });
  if (at == sent_.end() || attempt.end <= queued_ - out_.unsent()) return;
  // It can be neither finished nor taken back. The driver sees the end of the answers and does the
  // rest; until then nothing is sent.
  out_.Clear();
  pipe_full_ = true;
  if (child_) kill(child_->pid(), SIGKILL);
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
  status.pid = child_ ? child_->pid() : 0;
  status.starting = state_ == State::kStarting;
  status.answers = answers_;
  status.requests_in_flight = requests_in_flight();
  status.bytes_in_flight = bytes_in_flight();
  status.age = duration_cast<milliseconds>(Clock::now() - born_);
  status.idle_for = duration_cast<milliseconds>(idle_for());
  status.processor = hold_.processor();
  return status;
}

std::deque<AttemptPtr> PoolWorker::TakeUnsent() {
  std::lock_guard<std::mutex> lock(mutex_);
  for (const AttemptPtr& attempt : unsent_) Drop(attempt);
  return std::exchange(unsent_, {});
}

// ---- Sending, under the mutex ----

void PoolWorker::Drop(const AttemptPtr& attempt) {
  bytes_ -= attempt->bytes;
  --count_;
  if (attempt->sink_is_slow) --slow_sinks_;
}

// Makes frames and writes them while the pipe takes them. False: it takes no more now.
bool PoolWorker::SendMore() {
  while (!pipe_full_) {
    while (!unsent_.empty() && out_.unsent() < kQueueAhead) {
      const AttemptPtr& next = unsent_.front();
      if (!sent_.empty() && (next->alone || sent_.back()->alone)) break;
      if (sent_.size() >= options_.worker.window) break;
      const size_t before = out_.unsent();
      const bool wanted = next->WithRecords([&] {
        if (next->is_ping) {
          QueuePing(&out_);
        } else {
          QueueRequest(next->request, &out_);
        }
      });
      if (wanted) {
        queued_ += out_.unsent() - before;
        next->end = queued_;
        next->sent_at = Clock::now();
        if (sent_.empty()) head_since_ = next->sent_at;
        sent_.push_back(next);
      } else {
        Drop(next);
      }
      unsent_.pop_front();
    }
    if (out_.empty()) return true;
    pipe_full_ = !pipe_->Send(&out_);
  }
  return false;
}

// ---- Driving ----

// Whoever calls this has set driven_. own: the caller's attempt; null on the thread, which drives
// until nothing is under way.
void PoolWorker::DriveUntil(const AttemptPtr* own) {
  std::vector<AttemptPtr> answered;
  bool own_answered = false;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    const Clock::time_point now = Clock::now();
    const bool own_late = own != nullptr && now >= (*own)->deadline;
    if (failure_ || own_answered || own_late || (own == nullptr && !under_way())) break;
    const bool all_sent = SendMore();
    if (!under_way()) continue;
    const Clock::time_point hung = head_since_ + options_.worker.timeout;
    Clock::time_point deadline = hung;
    if (own != nullptr) {
      deadline = std::min(deadline, (*own)->deadline);
    } else if (slow_sinks_ > 0) {
      deadline = std::min(deadline, now + kDeadlineCheck);
    }
    const std::span<uint8_t> room = std::span(incoming_).subspan(have_);
    lock.unlock();
    size_t received = 0;
    const Turn turn = pipe_->WaitForSome(!all_sent, room, deadline, &received);
    lock.lock();
    pipe_full_ = false;
    have_ += received;
    if (turn == Turn::kClosed || turn == Turn::kSurplus ||
        (turn == Turn::kTimeout && under_way() && Clock::now() >= hung)) {
      Fail(turn);
    } else if (have_ > 0 && !TakeAnswers(&answered)) {
      Fail(Turn::kSurplus);
    }
    if (own == nullptr && slow_sinks_ > 0) Expire(&answered);
    if (answered.empty()) continue;
    for (AttemptPtr& attempt : answered) {
      if (own != nullptr && attempt == *own) own_answered = true;
      if (own != nullptr && attempt->sink_is_slow) concluded_.push_back(std::move(attempt));
    }
    if (!under_way()) driven_ = false;  // nobody waits for us to notice
    const bool over = own_answered || !under_way();
    const bool wake = own != nullptr && over && (under_way() || !concluded_.empty());
    if (over) driven_ = false;
    lock.unlock();
    if (wake) Wake();
    for (AttemptPtr& attempt : answered) {
      if (attempt) attempt->sink->Done(attempt);
    }
    answered.clear();
    if (over) return;
    lock.lock();
  }
  driven_ = false;
  if (own != nullptr) Wake();
}

// Takes whole answers off incoming_. False when they cannot be the answers to what was asked.
bool PoolWorker::TakeAnswers(std::vector<AttemptPtr>* answered) {
  const size_t whole = have_ / kBlockSize;
  const size_t rest = have_ % kBlockSize;
  const auto asked_in_full = [&](size_t i) {
    return i < sent_.size() && sent_[i]->end <= queued_ - out_.unsent();
  };
  const size_t begun = whole + (rest > 0 ? 1 : 0);
  if (begun > 0 && !asked_in_full(begun - 1)) return false;
  for (size_t i = 0; i < begun; ++i) {
    const size_t size = i < whole ? kBlockSize : rest;
    if (size >= sizeof(uint64_t) && !sent_[i]->Plausible(&incoming_[i * kBlockSize], size)) {
      return false;
    }
  }
  // A few bytes more say nothing about where the answer before them ends.
  const size_t taken =
      rest > 0 && rest < sizeof(uint64_t) ? whole - std::min<size_t>(whole, 1) : whole;
  if (taken == 0) return true;
  for (size_t i = 0; i < taken; ++i) {
    AttemptPtr attempt = std::move(sent_.front());
    sent_.pop_front();
    Drop(attempt);
    ++answers_;
    if (!attempt->Settle()) continue;
    const uint8_t* page = &incoming_[i * kBlockSize];
    attempt->page.assign(page, page + kBlockSize);
    answered->push_back(std::move(attempt));
  }
  have_ -= taken * kBlockSize;
  std::memmove(incoming_.data(), &incoming_[taken * kBlockSize], have_);
  head_since_ = Clock::now();
  return true;
}

// Settles what nobody else will when its deadline passes. Abandoned attempts stay in their places.
void PoolWorker::Expire(std::vector<AttemptPtr>* expired) {
  const Clock::time_point now = Clock::now();
  for (const std::deque<AttemptPtr>* list : {&sent_, &unsent_}) {
    for (const AttemptPtr& attempt : *list) {
      if (!attempt->sink_is_slow || now < attempt->deadline || !attempt->Settle()) continue;
      attempt->status = MakeError(ErrorCode::kTimeout, "the deadline passed");
      expired->push_back(attempt);
      if (attempt->is_large && list == &sent_ && attempt->end > queued_ - out_.unsent()) {
        out_.Clear();
        pipe_full_ = true;
        kill(child_->pid(), SIGKILL);
      }
    }
  }
}

// ---- The thread ----

void PoolWorker::Run() {
  const std::shared_ptr<PoolWorker> self = shared_from_this();
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
  Result<StartedWorker> started = StartWorker(options_.worker);
  if (!started) return tl::unexpected(started.error());
  {
    std::lock_guard<std::mutex> lock(mutex_);
    child_.reset();
    child_.emplace(std::move(started->child));
    pipe_.emplace(child_->input(), child_->output(), child_->error());
    // Twice what is under way at most. Without the right to do so it stays as it is.
    fcntl(child_->output(), F_SETPIPE_SZ,
          static_cast<int>(2 * options_.worker.window * kBlockSize));
    hold_.Reset(child_->pid());
  }
  bool ended = false;
  const Status greeted = Greet(Clock::now() + options_.worker.timeout, &ended);
  if (greeted) {
    std::lock_guard<std::mutex> lock(mutex_);
    incoming_.resize((kAnswersAtOnce + 1) * kBlockSize);  // and part of one more
    have_ = 0;
    queued_ = 0;
    ready_ = state_ == State::kStarting;
    if (state_ == State::kStarting) state_ = State::kReady;
    return {};
  }
  out_.Clear();
  const ChildExit exit = child_->Finish(ended ? kGrace : milliseconds(0));
  pipe_->DrainError(Clock::now() + kGrace);
  *killed = ended && exit.signal == SIGKILL;
  const std::string said = pipe_->messages().OneLine();
  return MakeError(greeted.error().code, fmt::format("could not start a redo worker: {} ({}){}{}",
                                                     greeted.error().message, exit.ToString(),
                                                     said.empty() ? "" : ": ", said));
}

// A new worker answers a ping before it gets work, so that a failure to start is told apart from a
// request that kills; and its home can go then.
Status PoolWorker::Greet(Clock::time_point deadline, bool* ended) {
  QueuePing(&out_);
  pipe_->Send(&out_);
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
    const bool drive = !failure_ && !driven_ && under_way();
    if (drive) driven_ = true;
    const bool failed = failure_ && !driven_;
    const bool over = state_ == State::kRetiring && !driven_ && !under_way();
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
  const bool mine = !driven_;
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
  }
  if (count > 0 && ready[1].revents != 0) {
    lock.lock();
    if (!driven_ && !under_way()) Fail(Turn::kClosed);
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
  if (!failure_) failure_ = Failure{turn, have_ > 0};
}

void PoolWorker::HandleFailure() {
  pool_->Remove(this);
  std::unique_lock<std::mutex> lock(mutex_);
  std::deque<AttemptPtr> sent;
  std::deque<AttemptPtr> innocents;
  sent.swap(sent_);
  innocents.swap(unsent_);
  out_.Clear();
  bytes_ = 0;
  count_ = 0;
  slow_sinks_ = 0;
  const Failure failure = *failure_;
  lock.unlock();

  AttemptPtr culprit;
  if (sent.size() == 1) {
    culprit = sent.front();
  } else {
    for (auto at = sent.rbegin(); at != sent.rend(); ++at) {
      (*at)->alone = true;
      innocents.push_front(*at);
    }
  }
  std::erase_if(innocents, [](const AttemptPtr& attempt) { return attempt->settled(); });
  const size_t count = innocents.size();
  for (const AttemptPtr& attempt : innocents) pool_->Submit(attempt, false);
  const std::string description = ReapAndDescribe(failure);
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
    text =
        fmt::format("redo worker {} ended {} ({})", child_->pid(),
                    failure.amid_answer ? "amid an answer" : "without an answer", exit.ToString());
  } else {
    child_->Finish(milliseconds(0));
    pipe_->DrainError(patience);
    text = failure.turn == Turn::kTimeout
               ? fmt::format("redo worker {} gave no {} within {} ms; it was killed", child_->pid(),
                             failure.amid_answer ? "whole answer" : "answer",
                             options_.worker.timeout.count())
               : fmt::format("redo worker {} sent bytes that are not the answer; it was killed",
                             child_->pid());
  }
  if (const std::string said = pipe_->messages().OneLine(); !said.empty()) text += ": " + said;
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
