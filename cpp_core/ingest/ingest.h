// From records to changes: every page, relation, file and counter of the cluster that WAL changes.
#ifndef NEON_REDO_INGEST_INGEST_H_
#define NEON_REDO_INGEST_INGEST_H_

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "cpp_core/ingest/change.h"
#include "cpp_core/pg/record_layout.h"
#include "cpp_core/wal/reader.h"
#include "cpp_core/wal/record.h"

namespace neon_redo {

// The changes of one record. Reused, so that after a few records nothing is allocated any more.
using ChangeList = std::vector<Change>;

// Takes the changes of one record; all arguments are valid during the call. What it returns ends
// the reading when it is an error.
using ChangeSink = std::function<Status(const ChangeList& changes, const RecordView& view,
                                        const WalRecord& record)>;

struct IngestOptions {
  // Whether the cluster keeps commit timestamps where WAL begins (pg_control's
  // track_commit_timestamp). Records tell of changes to it later on.
  bool track_commit_timestamp = false;
};

// What recovery keeps in memory of the cluster, as far as WAL tells. Zero: not known yet.
struct ClusterState {
  uint64_t next_xid = 0;  // FullTransactionId; known from the first checkpoint on
  uint32_t next_oid = 0;
  uint32_t next_multixact = 0;
  uint32_t next_multixact_offset = 0;
  uint32_t oldest_xid = 0;
  uint32_t oldest_multixact = 0;
  uint32_t timeline = 0;
  Lsn checkpoint_redo;  // of the last checkpoint
  bool track_commit_timestamp = false;
};

struct IngestCounts {
  uint64_t records = 0;
  std::array<uint64_t, kChangeKinds> changes{};
  std::array<uint64_t, 256> without_change{};  // by resource manager
  // By resource manager and operation (the high four bits of xl_info as a number): records whose
  // resource manager is not PostgreSQL's own, or has no such operation. The blocks they name are
  // among the changes, but what else they do is not known.
  std::array<std::array<uint64_t, 16>, 256> unknown{};

  uint64_t Unknown(uint8_t rmid) const {
    uint64_t sum = 0;
    for (uint64_t n : unknown[rmid]) sum += n;
    return sum;
  }
};

// Takes records in the order of WAL. Not thread-safe.
class Ingest {
 public:
  explicit Ingest(const IngestOptions& options = {}) {
    state_.track_commit_timestamp = options.track_commit_timestamp;
  }

  // Replaces *changes by those of the record, in the order redo makes them. They happen at the end
  // of the record (the LSN it stamps on pages) and point into the record's bytes. The fault: its
  // main data is too short, or says what cannot be; *changes is unspecified then.
  [[nodiscard]] RecordFault Take(const RecordView& record, ChangeList* changes);

  // Takes all that is left to read, and hands the changes of each record that has some to the sink,
  // if there is one. Returns the reader's or the sink's error; kCorrupt also for a record whose
  // content is not what it must be, with its LSN.
  Status TakeAll(WalReader* reader, const ChangeSink& sink);

  const IngestCounts& counts() const { return counts_; }
  const ClusterState& state() const { return state_; }

 private:
  class Taker;  // one record being taken

  IngestCounts counts_;
  ClusterState state_;
  // The page of pg_multixact/offsets that WAL last made, and the one that was made without a record
  // because a multixact at the end of the page before told where the next begins
  // (last_initialized_offsets_page, pre_initialized_offsets_page in access/transam/multixact.c).
  int64_t last_offsets_page_ = -1;
  int64_t early_offsets_page_ = -1;
};

}  // namespace neon_redo

#endif  // NEON_REDO_INGEST_INGEST_H_
