// The main data of WAL records: structs with the server's layout and offsets of single fields, by
// resource manager, as far as this project reads them. The operations are in pg/operations.h; a
// field that differs between versions is in pg/version.h and is not here.
// tests/unit/pg_record_layout_check.cpp holds all of it against the server's own headers.
#ifndef NEON_REDO_PG_RECORD_LAYOUT_H_
#define NEON_REDO_PG_RECORD_LAYOUT_H_

#include <cstddef>
#include <cstdint>

#include "cpp_core/pg/operations.h"
#include "neon_redo/block.h"

namespace neon_redo::layout {

// XLOG: access/xlog_internal.h. For checkpoints see pg/checkpoint.h.
namespace xlog {
struct ParameterChange {  // xl_parameter_change
  int32_t max_connections;
  int32_t max_worker_processes;
  int32_t max_wal_senders;
  int32_t max_prepared_xacts;
  int32_t max_locks_per_xact;
  int32_t wal_level;
  uint8_t wal_log_hints;           // bool; from outside it may hold anything
  uint8_t track_commit_timestamp;  // bool; from outside it may hold anything
};
struct EndOfRecovery {  // xl_end_of_recovery; later versions have wal_level after it
  int64_t time;
  uint32_t timeline;
  uint32_t previous_timeline;
};
struct OverwriteContrecord {  // xl_overwrite_contrecord
  uint64_t overwritten_lsn;
  int64_t time;
};
}  // namespace xlog

// Transaction: access/xact.h. Commit and abort: the time, then the parts that xinfo names, in the
// order of its bits (ParseCommitRecord and ParseAbortRecord in access/rmgrdesc/xactdesc.c).
namespace xact {
inline constexpr uint32_t kHasDatabase = 1u << 0;  // XACT_XINFO_*
inline constexpr uint32_t kHasSubxacts = 1u << 1;
inline constexpr uint32_t kHasRelations = 1u << 2;
inline constexpr uint32_t kHasInvalidations = 1u << 3;
inline constexpr uint32_t kHasTwoPhase = 1u << 4;
inline constexpr uint32_t kHasOrigin = 1u << 5;
inline constexpr uint32_t kHasGid = 1u << 7;
inline constexpr uint32_t kHasDroppedStats = 1u << 8;

inline constexpr size_t kDatabaseSize = 8;       // xl_xact_dbinfo
inline constexpr size_t kInvalidationSize = 16;  // SharedInvalidationMessage

// xl_xact_xinfo.xinfo beyond the parts
inline constexpr uint32_t kApplyFeedback = 1u << 29;  // XACT_COMPLETION_*
inline constexpr uint32_t kUpdateRelcacheFile = 1u << 30;
inline constexpr uint32_t kForceSyncCommit = 1u << 31;

struct Prepare {  // xl_xact_prepare
  uint32_t magic;
  uint32_t total_length;
  uint32_t xid;
  uint32_t database;
  int64_t prepared_at;
  uint32_t owner;
  int32_t subxacts;
  int32_t commit_relations;
  int32_t abort_relations;
  int32_t commit_stats;
  int32_t abort_stats;
  int32_t invalidations;
  uint8_t init_file_invalidation;  // bool; from outside it may hold anything
  uint16_t gid_length;
  uint64_t origin_lsn;
  int64_t origin_time;
};
}  // namespace xact

// Storage: catalog/storage_xlog.h
namespace smgr {
inline constexpr uint32_t kTruncateHeap = 1;  // SMGR_TRUNCATE_*
inline constexpr uint32_t kTruncateVisibilityMap = 2;
inline constexpr uint32_t kTruncateFreeSpaceMap = 4;
inline constexpr uint32_t kSlotsPerFsmPage = 4069;  // SlotsPerFSMPage in storage/fsm_internals.h

struct Create {  // xl_smgr_create
  RelFileNode rel;
  uint32_t fork;
};
struct Truncate {  // xl_smgr_truncate
  uint32_t blocks;
  RelFileNode rel;
  uint32_t flags;
};
}  // namespace smgr

// CLOG, CommitTs: access/clog.h, access/commit_ts.h. Zeroing a page: its number, of
// Version::slru_page_number_size bytes. Truncating: the same, then the struct here.
namespace clog {
struct TruncateRest {  // of xl_clog_truncate
  uint32_t oldest_xid;
  uint32_t oldest_xid_database;
};
}  // namespace clog
namespace commit_ts {
struct TruncateRest {  // of xl_commit_ts_truncate
  uint32_t oldest_xid;
};
}  // namespace commit_ts

// Database: commands/dbcommands_xlog.h
namespace dbase {
struct CreateFileCopy {  // xl_dbase_create_file_copy_rec
  uint32_t database;
  uint32_t tablespace;
  uint32_t source_database;
  uint32_t source_tablespace;
};
struct CreateWalLog {  // xl_dbase_create_wal_log_rec
  uint32_t database;
  uint32_t tablespace;
};
struct Drop {  // xl_dbase_drop_rec; that many tablespaces follow
  uint32_t database;
  int32_t tablespaces;
};
}  // namespace dbase

// Tablespace: commands/tablespace.h
namespace tblspc {
struct Create {  // xl_tblspc_create_rec; the path follows, ended by a zero byte
  uint32_t tablespace;
};
struct Drop {  // xl_tblspc_drop_rec
  uint32_t tablespace;
};
}  // namespace tblspc

// MultiXact: access/multixact.h. Zeroing a page: its number, as of CLOG.
namespace multixact {
struct Member {  // MultiXactMember
  uint32_t xid;
  uint32_t status;
};
struct Create {  // xl_multixact_create; the members follow
  uint32_t multixact;
  uint32_t offset;
  int32_t members;
};
struct Truncate {  // xl_multixact_truncate
  uint32_t oldest_database;
  uint32_t offsets_start;
  uint32_t offsets_end;
  uint32_t members_start;
  uint32_t members_end;
};
}  // namespace multixact

// RelMap: utils/relmapper.h
namespace relmap {
struct Update {  // xl_relmap_update; the map follows
  uint32_t database;
  uint32_t tablespace;
  int32_t bytes;
};
}  // namespace relmap

// Heap, Heap2: access/heapam_xlog.h. Where in the main data the number of a line pointer is, where
// the flags are, and the flags.
namespace heap {
inline constexpr size_t kInsertLine = 0;
inline constexpr size_t kDeleteLine = 4;
inline constexpr size_t kUpdateOldLine = 4;
inline constexpr size_t kUpdateNewLine = 12;
inline constexpr size_t kLockLine = 4;
inline constexpr size_t kInsertFlags = 2;
inline constexpr size_t kDeleteFlags = 7;
inline constexpr size_t kUpdateFlags = 7;
inline constexpr size_t kLockFlags = 7;
inline constexpr size_t kInsertSize = 3;  // SizeOfHeapInsert
inline constexpr size_t kDeleteSize = 8;
inline constexpr size_t kUpdateSize = 14;
inline constexpr size_t kLockSize = 8;
inline constexpr uint8_t kAllVisibleCleared = 1 << 0;  // XLH_INSERT_…, XLH_DELETE_…
inline constexpr uint8_t kInsertAllFrozenSet = 1 << 5;
inline constexpr uint8_t kDeleteSuper = 1 << 3;  // XLH_DELETE_IS_SUPER
inline constexpr uint8_t kDeletePartitionMove = 1 << 4;
inline constexpr uint8_t kOldAllVisibleCleared = 1 << 0;
inline constexpr uint8_t kNewAllVisibleCleared = 1 << 1;
inline constexpr uint8_t kPrefixFromOld = 1 << 5;
inline constexpr uint8_t kSuffixFromOld = 1 << 6;
inline constexpr uint8_t kAllFrozenCleared = 1 << 0;  // XLH_LOCK_ALL_FROZEN_CLEARED
inline constexpr uint8_t kTruncateCascade = 1 << 0;
inline constexpr uint8_t kTruncateRestartSequences = 1 << 1;
}  // namespace heap
namespace heap2 {
inline constexpr size_t kPruneRedirected = 4;  // of xl_heap_prune up to 16

// The one record of 17 and 18 for pruning, freezing and vacuum (xl_heap_prune). Main data: reason,
// flags, and with kPruneHasHorizon a transaction. The block's data have the parts that the flags
// name, in the order of the flags; the offsets of the freeze plans' tuples come last.
inline constexpr size_t kPruneFlags = 1;
inline constexpr size_t kPruneSize = 2;
inline constexpr uint8_t kPruneIsCatalog = 1 << 1;  // XLHP_*
inline constexpr uint8_t kPruneCleanupLock = 1 << 2;
inline constexpr uint8_t kPruneHasHorizon = 1 << 3;
inline constexpr uint8_t kPruneHasFreezePlans = 1 << 4;
inline constexpr uint8_t kPruneHasRedirections = 1 << 5;
inline constexpr uint8_t kPruneHasDeadItems = 1 << 6;
inline constexpr uint8_t kPruneHasUnusedItems = 1 << 7;
// xlhp_freeze_plans: their number, two bytes, padding, then that many xlhp_freeze_plan: xmax and
// what is here. Other parts are a number of two bytes and as many entries.
inline constexpr size_t kFreezePlansAt = 4;
inline constexpr size_t kFreezePlanSize = 12;
inline constexpr size_t kFreezePlanInfomask2 = 4;
inline constexpr size_t kFreezePlanInfomask = 6;
inline constexpr size_t kFreezePlanFlags = 8;
inline constexpr size_t kFreezePlanTuples = 10;
inline constexpr uint8_t kFreezeXvac = 0x02;  // XLH_FREEZE_XVAC, XLH_INVALID_XVAC
inline constexpr uint8_t kInvalidXvac = 0x04;

inline constexpr size_t kMultiInsertFlags = 0;
inline constexpr size_t kLockUpdatedFlags = 7;
}  // namespace heap2

// Btree: access/nbtxlog.h
namespace btree {
inline constexpr size_t kInsertLine = 0;
}  // namespace btree

// Hash: access/hash_xlog.h
namespace hash {
struct SqueezePage {  // xl_hash_squeeze_page
  uint32_t previous_block;
  uint32_t next_block;
  uint16_t tuples;
  uint8_t is_primary;   // bool, of block 1; from outside it may hold anything
  uint8_t is_previous;  // bool, of block 1; from outside it may hold anything
};
}  // namespace hash

}  // namespace neon_redo::layout

#endif  // NEON_REDO_PG_RECORD_LAYOUT_H_
