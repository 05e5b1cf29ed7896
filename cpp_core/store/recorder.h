// From changes to a store: pages, sizes of relations, and where the past of a page ends.
#ifndef NEON_REDO_STORE_RECORDER_H_
#define NEON_REDO_STORE_RECORDER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "cpp_core/store/store.h"
#include "neon_redo/ingest.h"

namespace neon_redo {

// Keys of what is no page. Their entries are changes too (encoding.h), but for sizes: four bytes,
// the number of blocks, kNoBlock when the fork is gone.
//
// Truncations and drops, after which blocks that were cut off know nothing of what was before:
PageKey CutKey(const RelFileNode& rel, uint8_t fork);
PageKey DatabaseKey(uint32_t tablespace, uint32_t database);  // created, copied, dropped
PageKey SlruKey(SlruKind kind);                               // truncated

// The size a fork has in the base backup; nothing when there is no such file.
using BaseSize = std::function<Result<std::optional<uint32_t>>(const RelFileNode&, uint8_t fork)>;

struct RecorderOptions {
  // Only what this page, and pages it may be a copy of (CREATE DATABASE), depend on.
  std::optional<PageKey> only;
  // Without it the size of a relation that WAL did not create is known only as a lower bound.
  BaseSize base_size;
};

// Not thread-safe. Memory: some 50 bytes for each fork that WAL touches.
class Recorder {
 public:
  // The store must outlive the recorder.
  Recorder(Store* store, RecorderOptions options) : store_(*store), options_(std::move(options)) {}

  // A ChangeSink: puts what a record changes at record.end. Cluster-wide changes are left out,
  // except relation maps.
  Status Take(const ChangeList& changes, const RecordView& view, const WalRecord& record);

 private:
  struct Fork {
    RelFileNode rel;
    uint8_t number;
    auto operator<=>(const Fork&) const = default;
  };
  bool IsWanted(const Change& change) const;
  Status TakeOne(const Change& change, const RecordView& view);
  Status Put(const PageKey& key, const Change& change, const RecordView& view);
  Result<uint32_t> SizeNow(const Fork& fork);
  Status SetSize(const Fork& fork, uint32_t blocks);

  Store& store_;
  RecorderOptions options_;
  std::map<Fork, uint32_t> sizes_;  // as they are now
  std::string buffer_;
  Lsn lsn_;
  uint32_t index_ = 0;
};

}  // namespace neon_redo

#endif  // NEON_REDO_STORE_RECORDER_H_
