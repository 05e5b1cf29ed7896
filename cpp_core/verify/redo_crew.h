// Several redo workers at work at once, a thread to each.
#ifndef NEON_REDO_VERIFY_REDO_CREW_H_
#define NEON_REDO_VERIFY_REDO_CREW_H_

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "cpp_core/base/error.h"
#include "cpp_core/redo/worker_process.h"

namespace neon_redo {

using Page = std::array<uint8_t, kBlockSize>;

// A record that outlives the WAL reader's step. Shared: one record may concern several blocks.
struct StoredRecord {
  Lsn start;
  Lsn end;
  std::vector<uint8_t> bytes;
};
using RecordPtr = std::shared_ptr<const StoredRecord>;

// A request that owns its inputs.
struct RedoTask {
  BlockTag tag;
  std::shared_ptr<const Page> base;  // null: the first record initialises the page
  std::vector<RecordPtr> records;
  std::shared_ptr<const Page> expected;  // for the consumer; null where it has no use for it
};

class RedoCrew {
 public:
  // Called once for each task, in no order, on a crew thread: the task, its answer (kBlockSize
  // bytes, valid during the call, meaningless when status is an error), how it went.
  using Consumer = std::function<void(const RedoTask&, const uint8_t* page, const Status& status)>;

  // Starts the threads and has every worker answer a ping, so that a server that cannot be run is
  // one error and not one for each page.
  static Result<std::unique_ptr<RedoCrew>> Start(const WorkerOptions& options, int jobs,
                                                 Consumer consumer);
  ~RedoCrew();  // does what was submitted and ends the workers

  // Waits while the queue is full. For one thread at a time.
  void Submit(RedoTask task);

  // Waits until every task submitted has been consumed.
  void Drain();

  uint64_t submitted() const { return submitted_; }

 private:
  using Batch = std::vector<RedoTask>;

  RedoCrew(size_t queue_limit, Consumer consumer)
      : queue_limit_(queue_limit), consumer_(std::move(consumer)) {}
  void Run(const WorkerOptions& options);
  void Work(RedoWorker* worker, const Batch& batch);
  void Flush();

  const size_t queue_limit_;
  const Consumer consumer_;
  Batch filling_;
  uint64_t submitted_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> queue_;
  size_t busy_ = 0;  // threads with a batch in hand
  size_t started_ = 0;
  bool closing_ = false;
  Status start_status_;
  std::vector<std::thread> threads_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_REDO_CREW_H_
