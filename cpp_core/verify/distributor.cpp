// A partition with batches stands in ready_ once. A thread that takes it takes all its batches, and
// puts it back if more have come meanwhile. There are more partitions than threads, so that threads
// seldom wait for each other; which of them does what is of no consequence for the result.
//
// With one job nothing is queued, and long records, mostly images, are not copied: the partition
// takes what it has waiting, then the record from where it is.
#include "cpp_core/verify/distributor.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace neon_redo {

namespace {

constexpr size_t kBatchBytes = 64 << 10;
constexpr size_t kBatchBytesOfOneJob = 512 << 10;  // no queue holds more of them
constexpr size_t kQueuedForEachJob = 48;           // batches
constexpr size_t kLongRecord = 2048;
constexpr uint64_t kPartitionsOfOneJob = 32;
constexpr uint64_t kPoolBytes = 8 << 20;  // what a partition should have for its pages

}  // namespace

uint32_t Distributor::PartitionsFor(int jobs, uint64_t memory) {
  if (jobs > 1) return std::min(kMaxPartitions, 8 * static_cast<uint32_t>(jobs));
  return static_cast<uint32_t>(std::clamp<uint64_t>(memory / kPoolBytes, 1, kPartitionsOfOneJob));
}

Status Partition::TakeAll(std::span<const WalRecord> records, Lane* lane) {
  for (const WalRecord& record : records) {
    if (Status parsed = ParseRecord(record, &lane->view); !parsed) return parsed;
    if (Status taken = Take(record, lane->view, lane); !taken) return taken;
  }
  return {};
}

Distributor::Distributor(const VerifyOptions& options, std::vector<Partition*> partitions)
    : partitions_(std::move(partitions)),
      batch_bytes_(options.jobs == 1 ? kBatchBytesOfOneJob : kBatchBytes),
      seats_(partitions_.size()) {
  for (int i = 0; i < options.jobs; i++) lanes_.push_back(std::make_unique<Lane>(options.worker));
  lanes_[0]->is_callers = true;
  for (int i = 1; i < options.jobs; i++)
    threads_.emplace_back([this, lane = lanes_[i].get()] { Run(lane); });
}

Distributor::~Distributor() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Status Distributor::Send(const WalRecord& record, const RecordView& view, uint64_t targets) {
  const bool at_once = threads_.empty() && record.bytes.size() >= kLongRecord;
  for (; targets != 0; targets &= targets - 1) {
    const auto partition = static_cast<uint32_t>(__builtin_ctzll(targets));
    Status status = at_once ? TakeFilling(partition) : Queue(record, partition);
    if (at_once && status) status = partitions_[partition]->Take(record, view, lanes_[0].get());
    if (!status) return status;
  }
  return {};
}

Status Distributor::Queue(const WalRecord& record, uint32_t partition) {
  Batch& batch = seats_[partition].filling;
  if (batch.bytes.capacity() == 0) batch.bytes.reserve(batch_bytes_ + batch_bytes_ / 4);
  batch.places.push_back({record.start, record.end, batch.bytes.size(), record.bytes.size()});
  batch.bytes.insert(batch.bytes.end(), record.bytes.begin(), record.bytes.end());
  batch.bytes.resize((batch.bytes.size() + 7) / 8 * 8);
  if (batch.bytes.size() < batch_bytes_) return {};
  return threads_.empty() ? TakeFilling(partition) : Push(partition);
}

// With one job: the caller's thread does it all.
Status Distributor::TakeFilling(uint32_t partition) {
  Batch& batch = seats_[partition].filling;
  Status status = TakeBatch(partitions_[partition], batch, lanes_[0].get());
  batch.places.clear();
  batch.bytes.clear();
  return status;
}

Status Distributor::Push(uint32_t partition) {
  Seat& seat = seats_[partition];
  std::unique_lock lock(mutex_);
  seat.queue.push_back(std::move(seat.filling));
  seat.filling = Batch();
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
  std::deque<Batch> batches = std::exchange(seat.queue, {});
  bool healthy = status_.has_value();
  lock->unlock();
  Status status;
  for (const Batch& batch : batches) {
    if (healthy && status) status = TakeBatch(partitions_[partition], batch, lane);
  }
  lock->lock();
  if (!status && status_) status_ = std::move(status);
  queued_ -= batches.size();
  for (Batch& batch : batches) {
    batch.places.clear();
    batch.bytes.clear();
    spare_.push_back(std::move(batch));
  }
  seat.taken = !seat.queue.empty();
  if (seat.taken) ready_.push_back(partition);
  changed_.notify_all();
}

Status Distributor::TakeBatch(Partition* partition, const Batch& batch, Lane* lane) {
  lane->records.clear();
  for (const RecordPlace& place : batch.places)
    lane->records.push_back(
        {place.start, place.end, Bytes(batch.bytes).subspan(place.offset, place.length)});
  return partition->TakeAll(lane->records, lane);
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

// Each thread takes the next partition that nobody has finished yet.
void Distributor::FinishAll(Lane* lane) {
  Status status;
  for (;;) {
    const uint32_t partition = next_to_finish_++;
    if (partition >= partitions_.size() || !status) break;
    status = partitions_[partition]->Finish(lane);
  }
  std::lock_guard lock(mutex_);
  finished_++;
  if (!status && status_) status_ = std::move(status);
  changed_.notify_all();
}

Status Distributor::Finish() {
  for (uint32_t partition = 0; partition < seats_.size(); partition++) {
    if (seats_[partition].filling.places.empty()) continue;
    if (Status pushed = Push(partition); !pushed) return pushed;
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
