// The workers of one manager: which one gets an attempt, when there are more, when fewer.
#ifndef NEON_REDO_REDO_MANAGER_POOL_H_
#define NEON_REDO_REDO_MANAGER_POOL_H_

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "cpp_core/redo/manager/attempt.h"
#include "cpp_core/redo/manager/pool_worker.h"
#include "neon_redo/manager.h"

namespace neon_redo {

class RedoMetrics;

// An attempt goes to the worker with the fewest bytes in flight. One that finds all of them busy
// has another launched, for those who come later, up to the limit. One that finds none waits for
// the launch under way; there is one at a time. Thread-safe.
class WorkerPool {
 public:
  // The options and the metrics, which may be null, must outlive the pool; max_workers is at
  // least 1.
  WorkerPool(const ManagerOptions& options, RedoMetrics* metrics);
  ~WorkerPool();

  // Every attempt's sink gets an outcome, unless the attempt is withdrawn before. Returns the worker
  // that the caller must Drive now, or null; not null only when may_drive, with one attempt. Several
  // attempts go to one worker, with one lock and one write, unless several workers are idle.
  std::shared_ptr<PoolWorker> Submit(std::span<const AttemptPtr> attempts, bool may_drive);

  // Launches the spare if it is wanted and not there.
  void Warm();

  size_t Quiesce(std::chrono::milliseconds idle_for);

  // Ends everything; nothing may be under way.
  void Close();

  // Adds what the pool knows.
  void Report(ManagerStatus* status) const;

  // From here on: what workers' threads report.
  void Launched(const std::shared_ptr<PoolWorker>& worker, std::chrono::nanoseconds duration);
  void LaunchFailed(const std::shared_ptr<PoolWorker>& worker, const Error& error);
  // Idle since the idle timeout: whether it may end. It is out of rotation then.
  bool MayRetire(const std::shared_ptr<PoolWorker>& worker);
  // Takes the worker out of rotation.
  void Remove(const PoolWorker* worker);
  void Failed(const std::string& description, size_t innocents);
  void Stopped(const char* cause);  // a process ended: "idle", "shutdown"
  // The thread's last call.
  void Ended(const std::shared_ptr<PoolWorker>& worker);
  // Settles attempts that wait for a launch beyond their deadline and that no caller settles. True
  // if there are more of that kind.
  bool ExpireWaiting();

  // One more worker is flooded, or one fewer.
  void CountFlooded(bool more) { flooded_ += more ? 1 : -1; }
  size_t flooded() const { return flooded_.load(std::memory_order_relaxed); }

  RedoMetrics* metrics() const { return metrics_; }

 private:
  struct Pick {
    std::shared_ptr<PoolWorker> worker;  // null: none is ready
    size_t idle;
  };
  Pick PickLocked() const;
  // kOutOfMemory: no thread can be started for another worker.
  Status GrowLocked();
  bool HasIdleLocked() const;
  bool RemoveLocked(const PoolWorker* worker);
  void JoinEnded();
  // Settles attempts that no worker has, with this error.
  static void Refuse(const std::vector<AttemptPtr>& attempts, const Error& error);

  const ManagerOptions& options_;
  RedoMetrics* const metrics_;
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<std::shared_ptr<PoolWorker>> workers_;  // in rotation, or starting
  std::deque<AttemptPtr> waiting_;                    // for a launch
  std::atomic<size_t> flooded_ = 0;
  bool launching_ = false;
  bool closed_ = false;
  size_t threads_ = 0;                                // not yet ended
  std::vector<std::shared_ptr<PoolWorker>> to_join_;  // ended
  uint64_t launches_ = 0;
  uint64_t failures_ = 0;
  uint64_t innocents_ = 0;
  std::string last_failure_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_MANAGER_POOL_H_
