// How a batch runs. Requests are sent in order while fewer than `window` are under way, and answers
// come back in the same order, so the k-th 8192 bytes received belong to the k-th request sent.
//
// When the worker fails with several under way, any of them may be the culprit: answers that it had
// ready, and had not written yet, are lost with it. So those that are unanswered run once more, one
// at a time, on a new worker. A request that is alone with a worker that fails gets the error.
//
// Answers carry no header. Should a worker answer one request with too many or too few bytes, every
// answer after that one is shifted, and the count shows it only later. So when the bytes do not
// add up, no answer of that run counts, and all of it runs again one at a time.
#include "neon_redo/worker.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <vector>

#include "cpp_core/base/guard.h"
#include "cpp_core/redo/worker/out_queue.h"
#include "cpp_core/redo/worker/pipe_loop.h"
#include "cpp_core/redo/worker/request_frames.h"
#include "cpp_core/redo/worker/worker_session.h"

namespace neon_redo {

namespace {

using Clock = PipeLoop::Clock;
using Turn = PipeLoop::Turn;

// Frames are made when there is room for them in the pipe, not long before.
constexpr size_t kQueueAhead = 65536;

// What is sent and where the answers go.
struct Job {
  size_t count;
  std::function<void(size_t, OutQueue*)> queue;
  std::function<std::string(size_t)> describe;
  uint8_t* pages;
};

struct Failure {
  ErrorCode code;
  std::string what;
  bool misframed;  // the bytes received do not add up to whole answers
};

// How a run over part of a job ended.
struct Run {
  size_t sent;      // requests of which any byte may have been sent: up to here
  size_t answered;  // up to here
  std::optional<Failure> failure;
};

// What is under way between us and the worker.
struct Flight {
  explicit Flight(size_t start) : first(start), sent(start), whole(start), answered(start) {}

  size_t first;
  size_t sent;         // handed to the queue: up to here
  size_t whole;        // in the pipe to the last byte: up to here
  size_t answered;     // up to here
  size_t partial = 0;  // bytes of the next answer that are here
  uint64_t bytes_queued = 0;
  uint64_t bytes_sent = 0;
  std::vector<uint64_t> ends;  // request first + i ends at byte ends[i] of all that were queued
};

}  // namespace

class RedoWorker::Impl {
 public:
  explicit Impl(WorkerOptions options) : options_(std::move(options)) {
    options_.window = std::max<size_t>(options_.window, 1);
  }
  ~Impl() { Stop(); }

  void Batch(std::span<const RedoRequest> requests, uint8_t* pages, std::span<Status> statuses);
  Status Ping(size_t count);
  Status EnsureWorker();
  void Stop();
  // Calls function. An exception becomes an error, and the worker is ended: what is under way with it
  // is not known any more.
  template <typename F>
  Status Guard(F function) {
    bool returned = false;
    Status status = Guarded([&] {
      Status result = function();
      returned = true;
      return result;
    });
    if (!returned) Stop();
    return status;
  }

  WorkerOptions options_;
  WorkerStatistics statistics_;
  std::optional<WorkerSession> session_;

 private:
  void RunJob(const Job& job, std::span<Status> statuses);
  bool Send(const Job& job, size_t end, size_t window, Flight* flight);
  Run RunOnce(const Job& job, size_t first, size_t end, size_t window);
  Failure Fail(Turn turn, bool partial);

  OutQueue out_;
  std::vector<uint8_t> scratch_;  // answers to pings
};

void RedoWorker::Impl::Batch(std::span<const RedoRequest> requests, uint8_t* pages,
                             std::span<Status> statuses) {
  size_t first = 0;
  while (first < requests.size()) {
    size_t end = first;
    Status check;
    while (end < requests.size() && (check = CheckRequest(requests[end]))) ++end;
    const std::span<const RedoRequest> run = requests.subspan(first, end - first);
    RunJob({run.size(), [&run](size_t i, OutQueue* out) { QueueRequest(run[i], out); },
            [&run](size_t i) { return DescribeRequest(run[i]); }, pages + first * kBlockSize},
           statuses.subspan(first, run.size()));
    if (end < requests.size()) {
      statuses[end] = check;
      std::fill_n(pages + end * kBlockSize, kBlockSize, 0);
      ++statistics_.failures;
    }
    first = end + 1;
  }
}

Status RedoWorker::Impl::Ping(size_t count) {
  scratch_.resize(count * kBlockSize);
  std::vector<Status> statuses(count);
  RunJob({count, [](size_t, OutQueue* out) { QueuePing(out); },
          [](size_t) { return std::string("a ping"); }, scratch_.data()},
         statuses);
  for (Status& status : statuses) {
    if (!status) return std::move(status);
  }
  return {};
}

void RedoWorker::Impl::RunJob(const Job& job, std::span<Status> statuses) {
  const Status fine;
  std::fill(statuses.begin(), statuses.end(), fine);
  size_t first = 0;
  size_t one_by_one_until = 0;
  auto refuse = [&](size_t i, const Error& error) {
    statuses[i] = tl::unexpected(error);
    std::fill_n(job.pages + i * kBlockSize, kBlockSize, 0);
    ++statistics_.failures;
  };
  while (first < job.count) {
    if (Status status = EnsureWorker(); !status) {
      for (; first < job.count; ++first) refuse(first, status.error());
      return;
    }
    const bool one_by_one = first < one_by_one_until;
    const size_t window = one_by_one ? 1 : options_.window;
    const Run run = RunOnce(job, first, one_by_one ? one_by_one_until : job.count, window);
    const size_t good = run.failure && run.failure->misframed && window > 1 ? first : run.answered;
    statistics_.answers += good - first;
    first = good;
    if (run.failure && window > 1 && run.sent > first + 1) {
      one_by_one_until = run.sent;
      continue;
    }
    if (run.failure) {
      refuse(first, {run.failure->code,
                     fmt::format("redo of {} failed: {}", job.describe(first), run.failure->what)});
      ++first;
    }
  }
}

// Sends requests up to `end` while the window is open and the pipe takes more. Returns whether it
// took all.
bool RedoWorker::Impl::Send(const Job& job, size_t end, size_t window, Flight* flight) {
  bool taken = true;
  const auto open = [&] { return flight->sent < end && flight->sent - flight->answered < window; };
  do {
    while (open() && out_.unsent() < kQueueAhead) {
      const size_t before = out_.unsent();
      job.queue(flight->sent, &out_);
      flight->bytes_queued += out_.unsent() - before;
      flight->ends.push_back(flight->bytes_queued);
      ++flight->sent;
    }
    taken = session_->pipe().Send(&out_);
  } while (taken && open());
  const uint64_t bytes_sent = flight->bytes_queued - out_.unsent();
  while (flight->whole < flight->sent &&
         flight->ends[flight->whole - flight->first] <= bytes_sent) {
    ++flight->whole;
  }
  statistics_.bytes_sent += bytes_sent - flight->bytes_sent;
  flight->bytes_sent = bytes_sent;
  return taken;
}

Run RedoWorker::Impl::RunOnce(const Job& job, size_t first, size_t end, size_t window) {
  Flight flight(first);
  Clock::time_point deadline = Clock::now() + options_.timeout;
  while (flight.answered < end) {
    const bool taken = Send(job, end, window, &flight);
    const size_t place = flight.answered * kBlockSize + flight.partial;
    const std::span<uint8_t> answer(job.pages + place, flight.sent * kBlockSize - place);
    size_t received = 0;
    Turn turn = session_->pipe().Wait(!taken, answer, deadline, &received);
    // What was not asked in full cannot be answered.
    if (place + received > flight.whole * kBlockSize) turn = Turn::kSurplus;
    if (turn != Turn::kProgress) {
      return {flight.sent, flight.answered, Fail(turn, flight.partial > 0)};
    }
    statistics_.bytes_received += received;
    flight.partial += received;
    if (flight.partial >= kBlockSize) {
      flight.answered += flight.partial / kBlockSize;
      flight.partial %= kBlockSize;
      deadline = Clock::now() + options_.timeout;
    }
  }
  return {flight.sent, flight.answered, std::nullopt};
}

// Ends the worker, and says why.
Failure RedoWorker::Impl::Fail(Turn turn, bool partial) {
  WorkerFailure failure = session_->Fail(turn, "the redo worker", partial, options_.timeout,
                                         "more bytes than were asked for");
  Stop();
  return {failure.code, std::move(failure.what), turn == Turn::kSurplus || partial};
}

Status RedoWorker::Impl::EnsureWorker() {
  if (session_) {
    session_->pipe().ForgetMessages();
    if (session_->pipe().CheckIdle() == Turn::kProgress) return {};
    session_->Kill();
    Stop();
  }
  const Status started = StartSession(options_, [this](WorkerSession launched) {
    session_.reset();
    ++statistics_.launches;
    return &session_.emplace(std::move(launched));
  });
  if (!started) Stop();
  return started;
}

void RedoWorker::Impl::Stop() {
  out_.Clear();
  if (session_) session_->End();
  session_.reset();
}

RedoWorker::RedoWorker(WorkerOptions options) : impl_(new Impl(std::move(options))) {}
RedoWorker::~RedoWorker() = default;
RedoWorker::RedoWorker(RedoWorker&&) noexcept = default;
RedoWorker& RedoWorker::operator=(RedoWorker&&) noexcept = default;

Status RedoWorker::Redo(const RedoRequest& request, uint8_t* page_out) {
  Status status;
  RedoBatch({&request, 1}, page_out, {&status, 1});
  return status;
}

void RedoWorker::RedoBatch(std::span<const RedoRequest> requests, uint8_t* pages,
                           std::span<Status> statuses) {
  const Status done = impl_->Guard([&]() -> Status {
    impl_->Batch(requests, pages, statuses);
    return {};
  });
  if (done) return;
  std::fill(statuses.begin(), statuses.end(), done);
  std::fill_n(pages, requests.size() * kBlockSize, 0);
}

Status RedoWorker::Start() {
  return impl_->Guard([this] { return impl_->EnsureWorker(); });
}
Status RedoWorker::Ping(size_t count) {
  return impl_->Guard([&] { return impl_->Ping(count); });
}
void RedoWorker::Stop() { impl_->Stop(); }
pid_t RedoWorker::pid() const { return impl_->session_ ? impl_->session_->child().pid() : 0; }
SandboxLayers RedoWorker::sandbox() const {
  return impl_->session_ ? impl_->session_->layers() : SandboxLayers();
}
std::string RedoWorker::stderr_tail() const {
  return impl_->session_ ? impl_->session_->pipe().messages().text() : std::string();
}
const WorkerStatistics& RedoWorker::statistics() const { return impl_->statistics_; }
void RedoWorker::set_window(size_t window) { impl_->options_.window = std::max<size_t>(window, 1); }

}  // namespace neon_redo
