// One worker of a pool: its process, its thread, and the attempts under way.
#ifndef NEON_REDO_REDO_MANAGER_POOL_WORKER_H_
#define NEON_REDO_REDO_MANAGER_POOL_WORKER_H_

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "cpp_core/redo/manager/attempt.h"
#include "cpp_core/redo/manager/frame_queue.h"
#include "cpp_core/redo/manager/processor_hold.h"
#include "cpp_core/redo/worker/child_process.h"
#include "cpp_core/redo/worker/pipe_loop.h"
#include "cpp_core/redo/worker/worker_session.h"
#include "neon_redo/cancel.h"
#include "neon_redo/manager.h"

namespace neon_redo {

class WorkerPool;

// Any thread may hand in attempts, and then writes them to the pipe, as far as the pipe takes them.
// Reading the answers is one driver's job at a time: a caller who finds nothing under way drives
// itself until it has its answer, so that a lone request crosses no thread; otherwise the worker's
// own thread drives. That thread also launches the process (which dies with it), notices its end,
// reaps it, and ends with it.
class PoolWorker : public std::enable_shared_from_this<PoolWorker> {
 public:
  // number: its place among the pool's workers.
  PoolWorker(const ManagerOptions& options, WorkerPool* pool, size_t number);
  PoolWorker(const PoolWorker&) = delete;
  PoolWorker& operator=(const PoolWorker&) = delete;

  // Starts the thread, which launches the process and reports to the pool. Once. kOutOfMemory: no
  // thread can be started.
  Status Start();
  // After the thread has reported its end to the pool.
  void Join() { thread_.join(); }
  // Set by the pool, under its mutex, when the thread has reported its end.
  bool thread_ended = false;

  enum class Accepted {
    kRefused,  // it is no longer in service
    kTaken,    // the sink will get the outcome
    kDrive,    // the same, but the caller must call Drive now
  };
  // All of them or none. may_drive: with one only.
  Accepted Accept(std::span<const AttemptPtr> attempts, bool may_drive);

  // Reads answers until there is one for own or its deadline has passed.
  void Drive(const AttemptPtr& own);

  // Gives back what it has not begun to send.
  std::deque<AttemptPtr> TakeUnsent();

  // Ends the worker as soon as nothing is under way. It accepts nothing more.
  void Retire();

  // Ends the worker now. For when no caller waits for anything that it has under way.
  void Abandon();

  bool ready() const { return ready_.load(std::memory_order_acquire); }
  size_t bytes_in_flight() const { return bytes_.load(std::memory_order_relaxed); }
  size_t requests_in_flight() const { return count_.load(std::memory_order_relaxed); }
  std::chrono::nanoseconds idle_for() const;
  WorkerStatus status() const;
  size_t number() const { return number_; }

 private:
  // Answers taken with one read: as many as the worker writes at once (src/worker/serve.cpp).
  static constexpr size_t kAnswersAtOnce = 32;
  // How often the thread looks at deadlines that no caller looks at.
  static constexpr std::chrono::milliseconds kDeadlineCheck{20};

  // How long a worker may work on after the deadline of what it works on.
  static constexpr std::chrono::milliseconds kAbandonedPatience{1000};

  // So many requests under way, at least, are a flood.
  static constexpr size_t kFlood = 4;

  enum class State { kStarting, kReady, kRetiring, kEnded };
  enum class Driver { kNobody, kCaller, kThread };

  // Why the process no longer serves.
  struct Failure {
    PipeLoop::Turn turn;
    bool amid_answer;
    std::chrono::milliseconds after;  // the last answer, or the request that came next
  };

  void Run();
  Status Launch();
  void Serve();
  void WaitForWork();
  void DriveUntil(const AttemptPtr* own);
  Clock::time_point HungAt(Clock::time_point now) const;
  size_t PlacesForAnswers(iovec* places);
  bool TakeAnswers(std::vector<AttemptPtr>* answered);
  size_t BytesSent() const;
  bool SendMore();
  void Drop(const AttemptPtr& attempt);
  void Expire(std::vector<AttemptPtr>* expired);
  void Fail(PipeLoop::Turn turn);
  void HandleFailure();
  WorkerFailure Reap(const Failure& failure);
  void EndQuietly();
  void ChooseProcessor();
  void NoFlood();
  void Wake();
  bool under_way() const { return !sent_.empty() || !unsent_.empty(); }
  bool driven() const { return driver_ != Driver::kNobody; }

  const ManagerOptions& options_;
  WorkerPool* const pool_;
  const size_t number_;
  const Clock::time_point born_ = Clock::now();
  std::thread thread_;
  const CancelSignal wake_;          // the thread's attention is wanted
  std::atomic<bool> woken_ = false;  // since the thread last looked

  std::atomic<bool> ready_ = false;
  std::atomic<size_t> bytes_ = 0;
  std::atomic<size_t> count_ = 0;
  std::atomic<Clock::rep> last_used_;

  mutable std::mutex mutex_;
  State state_ = State::kStarting;
  Driver driver_ = Driver::kNobody;
  bool abandoned_ = false;
  std::optional<Failure> failure_;
  std::deque<AttemptPtr> unsent_;
  std::deque<AttemptPtr> sent_;
  size_t slow_sinks_ = 0;              // attempts under way that only the thread may conclude
  std::vector<AttemptPtr> concluded_;  // of those: settled, but not yet reported
  size_t window_ = 1;                  // most of sent_
  FrameQueue frames_;
  bool pipe_full_ = false;
  bool input_enlarged_ = false;   // its pipe, when it was full for the first time
  Clock::time_point head_since_;  // the first of sent_ is being worked on
  uint64_t answers_ = 0;
  ProcessorHold hold_;
  bool flooded_ = false;  // as reported to the pool

  // The process and its pipes. Written to under the mutex, read from by the driver alone, made and
  // ended by the thread.
  std::optional<WorkerSession> session_;

  // The driver's. Bytes read and not yet taken: the first of them are in the pages of sent_, what
  // was read beyond those is in beyond_.
  size_t have_ = 0;
  size_t places_ = 0;  // pages the last read was given
  uint8_t beyond_[kBlockSize / 2];
};

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_MANAGER_POOL_WORKER_H_
