// WAL is read once, and its changes are applied by several threads. Blocks are divided into
// partitions. One thread at a time works on a partition, on its records in order.
#ifndef NEON_REDO_REPLAY_DISTRIBUTOR_H_
#define NEON_REDO_REPLAY_DISTRIBUTOR_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "cpp_core/replay/block_table.h"
#include "cpp_core/replay/options.h"
#include "cpp_core/replay/page_order.h"
#include "cpp_core/replay/record_batch.h"
#include "cpp_core/replay/targets.h"
#include "neon_redo/error.h"
#include "neon_redo/record.h"
#include "neon_redo/wal_reader.h"
#include "neon_redo/worker.h"

namespace neon_redo {

// What each thread has for itself.
struct Lane {
  Lane(const WorkerOptions& options, const pg::Version& version) : worker(options), view(version) {}
  RedoWorker worker;
  RecordView view;
  PageOrder order;
  bool is_callers = false;  // the caller's thread: it may call for progress
};

// Blocks of one part of the cluster. Never used by two threads at a time, but perhaps by different
// ones in turn.
class Partition {
 public:
  virtual ~Partition() = default;
  // Takes a record that may concern the partition. Bytes and view are the caller's again
  // afterwards. An error ends the whole work.
  virtual Status Take(const WalRecord& record, const RecordView& view, Lane* lane) = 0;
  // Takes records that were not parsed yet. If not overridden, takes them one after another.
  virtual Status TakeAll(const RecordBatch& batch, Lane* lane);
  // Whether it gains by many records at a time.
  virtual bool prefers_batches() const { return false; }
  // Takes a change that brings an image of its block, ahead of changes that wait in a batch. None of
  // those is of a whole record. Returns whether it did; if not, the change comes in a batch.
  virtual Result<bool> TakeAhead(const WalRecord& /*record*/, const RecordView& /*view*/,
                                 const BlockChange& /*change*/, Lane* /*lane*/) {
    return false;
  }
  // After the last record.
  virtual Status Finish(Lane* lane) = 0;
};

// Sets of partitions are bits of a word.
inline constexpr uint32_t kMaxPartitions = 64;
static_assert(kMaxPartitions <= Targets::kMax);

// The partition of a block. Neighbouring blocks share one, so that a partition reads its files in
// larger pieces.
inline uint32_t PartitionOf(const BlockTag& tag, uint32_t partitions) {
  if (partitions == 1) return 0;
  BlockTag neighbourhood = tag;
  neighbourhood.block /= 64;
  return static_cast<uint32_t>((HashTag(neighbourhood) >> 32) * partitions >> 32);
}

// Records are copied into batches, one for each partition; only full batches are passed under a
// lock. The caller's thread, which reads the WAL, helps when too much is queued. With one job it
// has each batch applied as it is full, and images at once, since some WAL consists of them mostly.
// A partition that does not prefer batches then gets each record from where it is.
class Distributor {
 public:
  // The number of partitions with which so many jobs are fastest, if they share `memory` bytes for
  // pages.
  static uint32_t PartitionsFor(int jobs, uint64_t memory);

  // The partitions must outlive the distributor. The caller does not touch them until Finish.
  // version: of the WAL. If the system has fewer threads than options.jobs, fewer do the work.
  Distributor(const ReplayOptions& options, const pg::Version& version,
              std::vector<Partition*> partitions);
  ~Distributor();  // drops what is queued
  Distributor(const Distributor&) = delete;
  Distributor& operator=(const Distributor&) = delete;

  // Hands a record, parsed by the caller, to the partitions of its targets, now or later. Errors:
  // of the partitions, perhaps for an earlier record.
  Status Send(const WalRecord& record, const RecordView& view, const Targets& targets) {
    return queues_ ? Queue(record, view, targets) : TakeNow(record, view, targets);
  }

  // Waits until all records were taken, and has every partition finish.
  Status Finish();

 private:
  struct Seat {
    RecordBatch filling;
    std::deque<RecordBatch> queue;
    bool taken = false;  // by a thread, or waiting in ready_
  };
  Status Queue(const WalRecord& record, const RecordView& view, const Targets& targets);
  Status TakeNow(const WalRecord& record, const RecordView& view, const Targets& targets);
  Result<bool> TakeAhead(const WalRecord& record, const RecordView& view,
                         const Targets::Change& target);
  Status MakeRoom(uint32_t partition, const WalRecord& record);
  Status Push(uint32_t partition);
  void Run(Lane* lane);
  void WorkOn(uint32_t partition, Lane* lane, std::unique_lock<std::mutex>* lock);
  void FinishAll(Lane* lane);

  const std::vector<Partition*> partitions_;
  const size_t batch_bytes_;                  // what a batch has room for
  std::vector<std::unique_ptr<Lane>> lanes_;  // the first is the caller's
  std::vector<Seat> seats_;
  std::atomic<uint32_t> next_to_finish_{0};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<uint32_t> ready_;  // partitions with batches that no thread has taken
  std::vector<RecordBatch> spare_;
  size_t queued_ = 0;  // batches, in queues or in hand
  bool finishing_ = false, closing_ = false;
  size_t finished_ = 0;  // threads that have left FinishAll
  Status status_;
  std::vector<std::thread> threads_;
  bool queues_;  // records go into batches
};

}  // namespace neon_redo

#endif  // NEON_REDO_REPLAY_DISTRIBUTOR_H_
