// One try to have a worker rebuild one page: what travels through the pool.
#ifndef NEON_REDO_REDO_MANAGER_ATTEMPT_H_
#define NEON_REDO_REDO_MANAGER_ATTEMPT_H_

#include <chrono>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "neon_redo/manager.h"

namespace neon_redo {

using Clock = std::chrono::steady_clock;

class RecordCounts;
class Attempt;
using AttemptPtr = std::shared_ptr<Attempt>;

// Who waits for attempts.
class AttemptSink {
 public:
  // The outcome is there. Called once, on any thread, no lock held; not after a Withdraw that
  // returned true.
  virtual void Done(const AttemptPtr& attempt) = 0;

  // Done may take its time, so it is called on a worker's own thread only.
  virtual bool wants_worker_thread() const = 0;

 protected:
  ~AttemptSink() = default;
};

// What a worker is to do: apply PostgreSQL's records, in this order, to this image of this block.
// Without records and image it is a ping.
struct RecordRun {
  BlockTag tag;
  const uint8_t* base_image = nullptr;  // kBlockSize bytes, or null
  std::span<const PageRecord> records;  // all PostgresRecord

  bool is_ping() const { return base_image == nullptr && records.empty(); }
};

// Exactly one of two sides settles an attempt: the pool with an outcome, or the caller, who has
// waited long enough and withdraws it. From then on the caller's records are not looked at again.
class Attempt {
 public:
  // counts: where the records are to be counted when a worker is sent them, as kAlong; null: they
  // have been. It must outlive the attempt.
  Attempt(const RecordRun& run, RecordCounts* counts, Clock::time_point deadline, AttemptSink* sink,
          size_t index);

  static constexpr size_t kHeadSize = 24;  // of a page's header

  // Constant.
  const Clock::time_point deadline;
  AttemptSink* const sink;
  const bool sink_is_slow;  // of a sink that may be gone: what it said in the beginning
  const size_t index;       // the asker's
  const bool is_ping;
  const size_t frames_size;  // bytes to send
  const Clock::time_point created = Clock::now();

  // Writes the frames, frames_size bytes, to what make_place returns. False, and nothing, when it
  // is settled: the asker and its records may be gone.
  template <typename MakePlace>
  bool StoreFrames(MakePlace make_place) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (settled_) return false;
    StoreFramesTo(make_place());
    return true;
  }

  // Whether this can be the beginning of the page asked for: its LSN is the base image's or one of
  // the records'. Noise on the worker's stdout does not pass, nor does another request's page. A
  // ping's answer is zeroes. size: what is there of it, at least kHeadSize. Of a settled attempt
  // only the first and the last of these LSNs are known.
  bool Plausible(const uint8_t* page, size_t size);

  // The outcome. Written by the side that settles it, read by the asker afterwards. The page is
  // there from the beginning, kBlockSize bytes: the driver of the worker that has it reads into it.
  std::vector<uint8_t> page;
  Status status;
  bool worker_failed = false;  // worth trying again
  Clock::time_point sent_at;

  // Guarded by the mutex of the worker that has it, or by the pool's.
  bool alone = false;  // sent only when nothing else is under way, and nothing after it
  bool first = false;  // the worker had nothing else under way when it was sent
  uint64_t end = 0;    // its last byte in the stream to the worker

  bool settled() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return settled_;
  }

  // The pool's side: true for the one that may write the outcome and call the sink.
  bool Settle() {
    std::lock_guard<std::mutex> lock(mutex_);
    return !std::exchange(settled_, true);
  }

  // The asker's side. False: an outcome has come first, and Done is called any moment.
  bool Withdraw() { return Settle(); }

 private:
  void StoreFramesTo(uint8_t* place);

  mutable std::mutex mutex_;
  bool settled_ = false;
  const RecordRun run_;
  RecordCounts* counts_;
  const uint64_t base_lsn_;
  const uint64_t last_lsn_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_REDO_MANAGER_ATTEMPT_H_
