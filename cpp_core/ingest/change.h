// One thing that a WAL record does to a cluster.
#ifndef NEON_REDO_INGEST_CHANGE_H_
#define NEON_REDO_INGEST_CHANGE_H_

#include <cstdint>
#include <string>

#include "cpp_core/base/bytes.h"
#include "cpp_core/base/error.h"
#include "cpp_core/base/lsn.h"
#include "cpp_core/pg/page_key.h"
#include "cpp_core/redo/page_server_records/page_server_record.h"
#include "cpp_core/wal/record.h"

namespace neon_redo {

// In brackets the fields of Change that mean something beside key and kind.
enum class ChangeKind : uint8_t {
  // To the page that key names.
  kRecord,              // the record changes it [block_id, whole, payload: the record]
  kImage,               // an image replaces it [block_id, payload: the image as stored]
  kClearVisibility,     // of the map [flags: bits; number, number2: heap blocks, kNoBlock: none]
  kTruncateVisibility,  // of the map's last page [number: byte behind the page header; flags: bit]
  kZeroSlruPage,        // it begins, or begins again, as zeroes
  kClogCommitted,       // [number: xid or 0; payload: more xids, four bytes each; time]
  kClogAborted,         // [the same, no time]
  kMultixactOffset,     // [number: multixact; number2: offset of its first member]
  kMultixactMembers,    // [number: offset of the first; payload: layout::multixact::Member]
  kCommitTs,            // [number: xid or 0; payload: more xids; number2: origin; time]

  // To the SLRU whose first page key names.
  kTruncateSlru,      // segments wholly before the page go [number: page] (SlruSegmentIsGone)
  kDropSlruSegments,  // [number: first, number2: one behind the last; goes round at the highest]
  kDropSlru,          // all segments go

  // To the relation or the fork whose size key names.
  kCreateFork,    // if it is not there already
  kTruncateFork,  // [number: blocks that stay]; of a fork that is longer
  kDropRelation,  // all forks

  // To the database whose relation map key names.
  kCreateDatabase,  // an empty directory (strategy wal_log)
  kCopyDatabase,    // strategy file_copy, replacing what was there [number, number2: tablespace
                    // and database it is a copy of]
  kDropDatabase,    // in this tablespace
  kRelationMap,     // [payload: the whole map, 512 bytes]

  // To the cluster; key is zero.
  kCreateTablespace,  // [number: tablespace; payload: path]
  kDropTablespace,    // [number]
  kPrepare,           // a transaction's state file appears [number: xid; payload: its content]
  kFinishPrepared,    // and goes, at commit or abort [number: xid]
  kCheckpoint,        // [flags: 1 when it is a shutdown; payload: layout::xlog::CheckPoint]
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

inline constexpr uint32_t kNoBlock = 0xffffffffu;

// 64 bytes, trivially copyable. payload points into the record.
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

// The page server's record that does the change, for kClearVisibility to kMultixactMembers except
// kZeroSlruPage; kInvalidArgument for other kinds.
Result<NativeRecord> ToNativeRecord(const Change& change);

// One line without a newline: kind, key, values. Times are left out.
std::string DescribeChange(const Change& change);

}  // namespace neon_redo

#endif  // NEON_REDO_INGEST_CHANGE_H_
