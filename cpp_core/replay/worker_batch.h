// Requests for a worker, gathered until there are enough to send.
#ifndef NEON_REDO_REPLAY_WORKER_BATCH_H_
#define NEON_REDO_REPLAY_WORKER_BATCH_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "neon_redo/error.h"
#include "neon_redo/worker.h"

namespace neon_redo {

// Not thread-safe.
class WorkerBatch {
 public:
  // Begins a request over this base page (kBlockSize bytes, copied; null: none) and returns its
  // number: 0, 1, … since the last Send.
  uint32_t Begin(const BlockTag& tag, const uint8_t* base);
  // Adds a record (copied) to a request. Every request needs one.
  void Add(uint32_t request, Lsn end, Bytes record);

  bool empty() const { return tags_.empty(); }
  bool full() const { return tags_.size() >= kRequests || bytes_.size() >= kRecordBytes; }

  // Gets a request's number and its page: kBlockSize bytes, valid during the call, unspecified when
  // status is an error.
  using Consumer = std::function<void(uint32_t request, const uint8_t* page, const Status& status)>;

  // Has the worker do all of them, calls the consumer for each in order, and is empty again. An
  // error (no worker can be run): nothing was done. The consumer must not add to the batch.
  Status Send(RedoWorker* worker, const Consumer& consumer);

 private:
  static constexpr size_t kRequests = 64;
  static constexpr size_t kRecordBytes = 1 << 20;

  struct StoredRecord {
    uint32_t request;
    uint32_t length;
    size_t offset;  // in bytes_
    Lsn end;
  };

  std::vector<BlockTag> tags_;
  std::vector<bool> has_base_;
  std::vector<uint8_t> bases_, pages_, bytes_;
  std::vector<StoredRecord> stored_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_REPLAY_WORKER_BATCH_H_
