// From records to changes: every page, relation, file and counter of the cluster that WAL changes.
// docs/ingest.md is the guide.
//
//   neon_redo::Ingest ingest;
//   ingest.TakeAll(reader.get(), [](const neon_redo::ChangeList& changes,
//                                   const neon_redo::RecordView&,
//                                   const neon_redo::WalRecord& record) -> neon_redo::Status {
//     for (const neon_redo::Change& change : changes)
//       std::cout << record.end.ToString() << ' ' << neon_redo::DescribeChange(change) << '\n';
//     return {};
//   });
#ifndef NEON_REDO_INGEST_H_
#define NEON_REDO_INGEST_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "neon_redo/page_key.h"
#include "neon_redo/page_server_record.h"
#include "neon_redo/record.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

// What a change does. The brackets name the fields of Change that are used beside key and kind.
enum class ChangeKind : uint8_t {
  // To the page that key names.
  kRecord,              // the record changes it [block_id, whole, payload: the record]
  kImage,               // an image replaces it [block_id, payload: the image as stored]
  kClearVisibility,     // of the map [flags: bits; number, number2: heap blocks, kNoBlock: none]
  kTruncateVisibility,  // of the map's last page [number: byte after the page header; flags: bit]
  kZeroSlruPage,        // it begins, or begins again, as zeroes
  kClogCommitted,       // [number: xid or 0; payload: more xids, four bytes each; time]
  kClogAborted,         // [the same, no time]
  kMultixactOffset,     // [number: multixact; number2: offset of its first member]
  kMultixactMembers,    // [number: offset of the first; payload: layout::multixact::Member]
  kCommitTs,            // [number: xid or 0; payload: more xids; number2: origin; time]

  // To the SLRU whose first page key names.
  kTruncateSlru,      // segments wholly before the page go [number: page] (SlruSegmentIsGone)
  kDropSlruSegments,  // [number: first, number2: one after the last; wraps around at the highest]
  kDropSlru,          // all segments go

  // To the relation or the fork whose size key names.
  kCreateFork,    // if it is not there already [flags: kNewRelationFile]
  kTruncateFork,  // [number: blocks that stay]; of a fork that is longer
  kDropRelation,  // all forks

  // To the database whose relation map key names.
  kCreateDatabase,  // an empty directory (strategy wal_log)
  kCopyDatabase,    // strategy file_copy, replacing what was there [number, number2: tablespace
                    // and database it is a copy of]
  kDropDatabase,    // in this tablespace
  kRelationMap,     // [payload: the whole map: Version::relation_map_size bytes]

  // To the cluster; key is zero.
  kCreateTablespace,  // [number: tablespace; payload: path]
  kDropTablespace,    // [number]
  kPrepare,           // a transaction's state file appears [number: xid; payload: its content]
  kFinishPrepared,    // and goes, at commit or abort [number: xid]
  kCheckpoint,        // [flags: 1 when it is a shutdown; payload: pg::ReadCheckPoint]
  kTimeline,          // a new one begins [number: new, number2: old; flags: 1 at end of recovery]
  kNextOid,           // [number]
  kParameters,        // [payload: layout::xlog::ParameterChange]
  kFullPageWrites,    // [flags: 1 on, 0 off]
  kSegmentSwitch,     // the rest of the segment has no records
  kBackupEnd,         // [time: LSN the backup started from]
  kRestorePoint,      // [time; payload: name]
  kOverwritten,       // the record before was never whole [time: its LSN]
};
inline constexpr int kChangeKinds = static_cast<int>(ChangeKind::kOverwritten) + 1;

// "record", "image", "clear_visibility", ….
const char* ChangeKindName(ChangeKind kind);

// Kinds up to this one are changes to one page.
inline constexpr bool ChangesPage(ChangeKind kind) { return kind <= ChangeKind::kCommitTs; }

// Kinds of which each changes a whole fork, relation or database.
inline constexpr bool ChangesRelationFiles(ChangeKind kind) {
  return kind >= ChangeKind::kCreateFork && kind <= ChangeKind::kDropDatabase;
}

inline constexpr uint32_t kNoBlock = 0xffffffffu;

// Change::flags of kCreateFork: the record is a creation, so any earlier file of that name was
// another relation's. Without it, a truncation makes sure that there is a file.
inline constexpr uint8_t kNewRelationFile = 1;

// One change that a record makes. 64 bytes, trivially copyable. payload points into the record and
// is valid as long as the bytes of the record.
struct Change {
  PageKey key;
  ChangeKind kind;
  uint8_t block_id = 0;
  bool whole = false;  // the record makes the page without needing what was there
  uint8_t flags = 0;
  uint32_t number = 0;
  uint32_t number2 = 0;
  Bytes payload;
  int64_t time = 0;  // TimestampTz

  // After it the page depends on nothing that was there before.
  bool initialises() const {
    return whole || kind == ChangeKind::kImage || kind == ChangeKind::kZeroSlruPage;
  }
};
static_assert(std::is_trivially_copyable_v<Change> && sizeof(Change) == 64);

// The block of a relation that a change to one page names; not for a page of an SLRU.
inline BlockTag BlockOf(const Change& change) {
  const PageKey& key = change.key;
  return {{key.field2, key.field3, key.field4}, key.field5, key.field6};
}
// The relation of a change to a fork or relation; with a zero third field, the database of a change
// to one.
inline RelFileNode RelationOf(const Change& change) {
  return {change.key.field2, change.key.field3, change.key.field4};
}

// The page server's record that does the change, for kClearVisibility to kMultixactMembers except
// kZeroSlruPage; kInvalidArgument for other kinds.
Result<PageServerRecord> ToPageServerRecord(const Change& change);

// One line without a newline: kind, key, values. Times are left out.
std::string DescribeChange(const Change& change);

// The changes of one record. Reuse it for all records: then it allocates for the first few only.
using ChangeList = std::vector<Change>;

// Takes the changes of one record. All arguments are valid during the call. An error that it
// returns ends the reading.
using ChangeSink = std::function<Status(const ChangeList& changes, const RecordView& view,
                                        const WalRecord& record)>;

struct IngestOptions {
  // Whether the cluster keeps commit timestamps where WAL begins (pg_control's
  // track_commit_timestamp). Records have later changes of the setting.
  bool track_commit_timestamp = false;
};

// What recovery keeps in memory of the cluster, as far as WAL has it. 0: not known yet.
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

  // The same without the changes to blocks that the record names (kRecord, kImage): for callers
  // that see those in the record itself. Most records have no others, and then this takes a few
  // nanoseconds. Nothing is added to counts().
  [[nodiscard]] RecordFault TakeBeyondBlocks(const RecordView& record, ChangeList* changes);

  // Takes all records that the reader still has, and calls the sink, if there is one, for each
  // record with changes. Returns the reader's or the sink's error; kCorrupt also for a record whose
  // content is not what it must be, with its LSN.
  Status TakeAll(WalReader* reader, const ChangeSink& sink);

  const IngestCounts& counts() const { return counts_; }
  const ClusterState& state() const { return state_; }

  // All that later records need to know of earlier ones: to take WAL on where another object ended.
  struct Memory {
    ClusterState state;
    // The page of pg_multixact/offsets that WAL last made, and the one that was made without a record
    // because a multixact at the end of the page before told where the next begins
    // (last_initialized_offsets_page, pre_initialized_offsets_page in access/transam/multixact.c).
    int64_t last_offsets_page = -1;
    int64_t early_offsets_page = -1;
  };
  Memory memory() const { return {state_, last_offsets_page_, early_offsets_page_}; }
  void Remember(const Memory& memory) {
    state_ = memory.state;
    last_offsets_page_ = memory.last_offsets_page;
    early_offsets_page_ = memory.early_offsets_page;
  }

 private:
  class Taker;  // one record being taken

  IngestCounts counts_;
  ClusterState state_;
  int64_t last_offsets_page_ = -1, early_offsets_page_ = -1;  // see Memory
};

// Replaces *changes by what a record does to pages and files of relations that it does not name by
// a block reference: kClearVisibility, kTruncateVisibility and those of ChangesRelationFiles. They
// are the ones of Ingest::TakeBeyondBlocks, in the same order, but do not depend on earlier
// records. Thread-safe. The fault: as of Ingest::Take.
[[nodiscard]] RecordFault TakeRelationChanges(const RecordView& record, ChangeList* changes);

}  // namespace neon_redo

#endif  // NEON_REDO_INGEST_H_
