// Places in WAL that recovery may stop at: commits, restore points, checkpoints, switches of timelines, the
// last commit before a relation's drop.
#ifndef NEON_REDO_INDEX_FIND_H_
#define NEON_REDO_INDEX_FIND_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cpp_core/index/history.h"
#include "cpp_core/index/transactions.h"
#include "cpp_core/index/wal_index.h"
#include "neon_redo/block.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

enum class EventKind : uint8_t {
  kCommit,
  kAbort,
  kRestorePoint,
  kCheckpoint,
  kTimeline,     // a new timeline begins
  kBeforeDrop,   // the last commit before a relation's file goes
  kLinePointer,  // a record that removes what a line pointer has
};

// Where recovery stops so that all before is there, and what is after is not (recoveryStopsBefore and
// recoveryStopsAfter in access/transam/xlogrecovery.c).
struct StopSettings {
  Lsn lsn;                // recovery_target_lsn
  bool inclusive = true;  // recovery_target_inclusive, with lsn
  // Each of these stops at the same place, inclusive.
  std::optional<uint32_t> xid{};      // recovery_target_xid
  std::optional<int64_t> time{};      // recovery_target_time
  std::optional<std::string> name{};  // recovery_target_name: no earlier point has it
};

struct Event {
  EventKind kind;
  Lsn start, end;                 // of the record
  std::optional<int64_t> time{};  // TimestampTz; of kLinePointer: of the transaction's commit
  uint32_t timeline = 0;          // of the segment that has the record
  uint32_t xid = 0;               // 0: none
  std::string what;               // in words
  StopSettings stop;
  // kBeforeDrop, kLinePointer: the record that it is about, if that is not this one.
  std::optional<Lsn> cause{};
};
using EventSink = std::function<Status(const Event&)>;

struct FindOptions {
  Lsn from{}, to{~uint64_t{0}};              // as of HistoryOptions
  std::optional<int64_t> after{}, before{};  // times: not before the first, before the second
  bool commits = false, aborts = false, restore_points = false, checkpoints = false,
       timelines = false;
  std::optional<std::string> restore_point{};  // only those of this name
  std::optional<uint32_t> xid{};  // commits and aborts of this transaction or subtransaction
  std::optional<HistoryOptions> changes{};  // commits and aborts of transactions that change this
  std::optional<size_t> limit{};            // the last so many
};

// Calls the sink for each event, in the order of WAL, until it fails. Returns how many there were. Memory: 32
// bytes for an event. Errors as of WalIndex and RecordSource.
Result<uint64_t> FindEvents(WalIndex* index, const FindOptions& options, const EventSink& sink);

// For each record that drops the file of one of the relations, or their database: the last commit before it. Of
// a relation that goes in an aborted transaction there is none.
Result<uint64_t> FindDrops(WalIndex* index, const std::vector<RelFileNode>& relations,
                           const FindOptions& options, const EventSink& sink);

// The timeline of the segment that has this place.
uint32_t TimelineAt(const WalIndex& index, Lsn lsn);

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_FIND_H_
