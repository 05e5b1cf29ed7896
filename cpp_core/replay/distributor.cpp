// A partition with batches stands in ready_ once. A thread that takes it takes all its batches, and
// puts it back if more have come meanwhile. There are more partitions than threads, so that threads
// seldom wait for each other. Which thread does what has no influence on the result.
//
// With one job nothing is queued.
#include "cpp_core/replay/distributor.h"

#include <algorithm>
#include <cstring>
#include <system_error>
#include <utility>

#include "cpp_core/base/guard.h"
#include "cpp_core/base/try.h"
#include "cpp_core/replay/large_page.h"

namespace neon_redo {

namespace {

// The larger a batch, the more changes of one page it has. See MemoryForPages for their memory.
constexpr size_t kMinBatchBytes = 64 << 10;
constexpr size_t kMaxBatchBytes = kLargePageBytes;
constexpr size_t kMaxBatchBytesOneByOne = 512 << 10;  // more changes of a page would not help
constexpr size_t kQueuedForEachJob = 3;               // batches
constexpr uint32_t kPartitionsForEachJob = 16;
constexpr uint32_t kPartitionsOfOneJob = 32;
constexpr uint64_t kPoolBytes = 8 << 20;  // a partition should have so much for its pages

size_t BatchBytes(const ReplayOptions& options, const std::vector<Partition*>& partitions) {
  return std::clamp<size_t>(
      options.memory / 16 / partitions.size(), kMinBatchBytes,
      partitions[0]->prefers_batches() ? kMaxBatchBytes : kMaxBatchBytesOneByOne);
}

// Of a page of a relation itself: other forks have changes that no record names.
bool BringsImage(const RecordView& view, const BlockChange& change) {
  if (change.part < 0) return false;
  const BlockRef& ref = *view.block(change.part);
  return ref.apply_image && ref.tag.fork == kMainFork;
}

}  // namespace

uint32_t Distributor::PartitionsFor(int jobs, uint64_t memory) {
  const auto each = static_cast<uint32_t>(jobs);
  const uint32_t most =
      jobs == 1 ? kPartitionsOfOneJob : std::min(kMaxPartitions, kPartitionsForEachJob * each);
  const uint32_t least = jobs == 1 ? 1 : std::min(kMaxPartitions, 4 * each);
  return static_cast<uint32_t>(std::clamp<uint64_t>(memory / kPoolBytes, least, most));
}

Status Partition::TakeAll(const RecordBatch& batch, Lane* lane) {
  for (uint32_t at = 0; at < batch.end(); at = batch.Next(at)) {
    const WalRecord record = batch.record(at);
    RETURN_IF_ERROR(ParseRecord(record, &lane->view));
    RETURN_IF_ERROR(Take(record, lane->view, lane));
  }
  return {};
}

Distributor::Distributor(const ReplayOptions& options, const pg::Version& version,
                         std::vector<Partition*> partitions)
    : partitions_(std::move(partitions)),
      batch_bytes_(BatchBytes(options, partitions_)),
      seats_(partitions_.size()) {
  WorkerOptions worker = options.worker;
  worker.version = &version;
  for (int i = 0; i < options.jobs; i++) lanes_.push_back(std::make_unique<Lane>(worker, version));
  lanes_[0]->is_callers = true;
  threads_.reserve(lanes_.size());
  for (size_t i = 1; i < lanes_.size(); i++) {
    try {
      threads_.emplace_back([this, lane = lanes_[i].get()] { Run(lane); });
    } catch (const std::exception&) {
      lanes_.resize(i);  // there are no more threads, or no memory: those that run do the work
    }
  }
  queues_ = !threads_.empty() || partitions_[0]->prefers_batches();
}

Distributor::~Distributor() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Status Distributor::TakeNow(const WalRecord& record, const RecordView& view,
                            const Targets& targets) {
  for (uint64_t left = targets.partitions; left != 0; left &= left - 1) {
    Partition* partition = partitions_[static_cast<size_t>(__builtin_ctzll(left))];
    RETURN_IF_ERROR(partition->Take(record, view, lanes_[0].get()));
  }
  return {};
}

Status Distributor::Queue(const WalRecord& record, const RecordView& view, const Targets& targets) {
  uint64_t copied = 0;  // partitions, as a set of bits
  for (const Targets::Change& target : targets.changes()) {
    if (BringsImage(view, target.change)) {
      ASSIGN_OR_RETURN(const bool taken, TakeAhead(record, view, target));
      if (taken) continue;
    }
    Seat& seat = seats_[target.partition];
    if ((copied >> target.partition & 1) == 0) {
      RETURN_IF_ERROR(MakeRoom(target.partition, record));
      seat.filling.Add(record);
      copied |= uint64_t{1} << target.partition;
    }
    seat.filling.Add(target.change);
  }
  return {};
}

Result<bool> Distributor::TakeAhead(const WalRecord& record, const RecordView& view,
                                    const Targets::Change& target) {
  if (!threads_.empty() || seats_[target.partition].filling.has_whole_records()) return false;
  return partitions_[target.partition]->TakeAhead(record, view, target.change, lanes_[0].get());
}

// With one job the caller's thread does it all.
Status Distributor::MakeRoom(uint32_t partition, const WalRecord& record) {
  RecordBatch& batch = seats_[partition].filling;
  Status status;
  if (!batch.empty() && batch.bytes() + RecordBatch::BytesFor(record) > batch_bytes_) {
    if (threads_.empty()) {
      status = partitions_[partition]->TakeAll(batch, lanes_[0].get());
      batch.Clear();
    } else {
      status = Push(partition);
    }
  }
  if (batch.empty()) batch.Reserve(batch_bytes_);
  return status;
}

Status Distributor::Push(uint32_t partition) {
  Seat& seat = seats_[partition];
  std::unique_lock lock(mutex_);
  seat.queue.push_back(std::move(seat.filling));
  seat.filling = RecordBatch();
  if (!spare_.empty()) {
    seat.filling = std::move(spare_.back());
    spare_.pop_back();
  }
  queued_++;
  if (!seat.taken) {
    seat.taken = true;
    ready_.push_back(partition);
    changed_.notify_one();
  }
  while (status_ && queued_ > kQueuedForEachJob * lanes_.size()) {
    if (ready_.empty()) {
      changed_.wait(lock);
    } else {
      const uint32_t next = ready_.front();
      ready_.pop_front();
      WorkOn(next, lanes_[0].get(), &lock);
    }
  }
  return status_;
}

void Distributor::WorkOn(uint32_t partition, Lane* lane, std::unique_lock<std::mutex>* lock) {
  Seat& seat = seats_[partition];
  std::deque<RecordBatch> batches = std::exchange(seat.queue, {});
  bool healthy = status_.has_value();
  lock->unlock();
  Status status;
  for (const RecordBatch& batch : batches) {
    if (healthy && status)
      status = Guarded([&] { return partitions_[partition]->TakeAll(batch, lane); });
  }
  lock->lock();
  if (!status && status_) status_ = std::move(status);
  queued_ -= batches.size();
  for (RecordBatch& batch : batches) {
    batch.Clear();
    spare_.push_back(std::move(batch));
  }
  seat.taken = !seat.queue.empty();
  if (seat.taken) ready_.push_back(partition);
  changed_.notify_all();
}

void Distributor::Run(Lane* lane) {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return closing_ || finishing_ || !ready_.empty(); });
    if (closing_) return;
    if (ready_.empty()) break;
    const uint32_t next = ready_.front();
    ready_.pop_front();
    WorkOn(next, lane, &lock);
  }
  lock.unlock();
  FinishAll(lane);
}

// Each thread takes the next partition that no thread has finished yet.
void Distributor::FinishAll(Lane* lane) {
  Status status;
  for (;;) {
    const uint32_t partition = next_to_finish_++;
    if (partition >= partitions_.size() || !status) break;
    status = Guarded([&] { return partitions_[partition]->Finish(lane); });
  }
  std::lock_guard lock(mutex_);
  finished_++;
  if (!status && status_) status_ = std::move(status);
  changed_.notify_all();
}

Status Distributor::Finish() {
  for (uint32_t partition = 0; partition < seats_.size(); partition++) {
    if (seats_[partition].filling.empty()) continue;
    RETURN_IF_ERROR(Push(partition));
  }
  std::unique_lock lock(mutex_);
  while (queued_ > 0) {
    if (ready_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const uint32_t next = ready_.front();
    ready_.pop_front();
    WorkOn(next, lanes_[0].get(), &lock);
  }
  if (!status_) return status_;
  finishing_ = true;
  lock.unlock();
  changed_.notify_all();
  FinishAll(lanes_[0].get());
  lock.lock();
  changed_.wait(lock, [&] { return finished_ == lanes_.size(); });
  return status_;
}

}  // namespace neon_redo
