// What PostgreSQL 15 puts into the main data of its records, a table for each resource manager
// whose records change more than the blocks they name. Only the fields that matter here are read;
// the structs have the server's layout, which tests/unit/ingest_layout_test.cpp holds against the
// server's own headers (sizes, offsets, constants).
#ifndef NEON_REDO_PG_RECORD_LAYOUT_H_
#define NEON_REDO_PG_RECORD_LAYOUT_H_

#include <cstddef>
#include <cstdint>

#include "neon_redo/block.h"

namespace neon_redo::layout {

// Operations are the high four bits of xl_info; where the highest of them is a flag, these are
// left.
inline constexpr uint8_t kOperationMask = 0x70;  // XLOG_XACT_OPMASK, XLOG_HEAP_OPMASK

// XLOG: catalog/pg_control.h, access/xlog_internal.h
namespace xlog {
inline constexpr uint8_t kCheckpointShutdown = 0x00;
inline constexpr uint8_t kCheckpointOnline = 0x10;
inline constexpr uint8_t kNoop = 0x20;
inline constexpr uint8_t kNextOid = 0x30;
inline constexpr uint8_t kSwitch = 0x40;
inline constexpr uint8_t kBackupEnd = 0x50;
inline constexpr uint8_t kParameterChange = 0x60;
inline constexpr uint8_t kRestorePoint = 0x70;
inline constexpr uint8_t kFpwChange = 0x80;
inline constexpr uint8_t kEndOfRecovery = 0x90;
inline constexpr uint8_t kFpiForHint = 0xa0;
inline constexpr uint8_t kFpi = 0xb0;
inline constexpr uint8_t kOverwriteContrecord = 0xd0;

struct CheckPoint {
  uint64_t redo;
  uint32_t timeline;
  uint32_t previous_timeline;
  uint8_t full_page_writes;  // bool; from outside it may hold anything
  uint64_t next_xid;         // FullTransactionId
  uint32_t next_oid;
  uint32_t next_multixact;
  uint32_t next_multixact_offset;
  uint32_t oldest_xid;
  uint32_t oldest_xid_database;
  uint32_t oldest_multixact;
  uint32_t oldest_multixact_database;
  int64_t time;
  uint32_t oldest_commit_ts_xid;
  uint32_t newest_commit_ts_xid;
  uint32_t oldest_active_xid;
};
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
struct EndOfRecovery {  // xl_end_of_recovery
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
inline constexpr uint8_t kCommit = 0x00;
inline constexpr uint8_t kPrepare = 0x10;
inline constexpr uint8_t kAbort = 0x20;
inline constexpr uint8_t kCommitPrepared = 0x30;
inline constexpr uint8_t kAbortPrepared = 0x40;
inline constexpr uint8_t kAssignment = 0x50;
inline constexpr uint8_t kInvalidations = 0x60;
inline constexpr uint8_t kHasInfo = 0x80;

inline constexpr uint32_t kHasDatabase = 1u << 0;  // XACT_XINFO_*
inline constexpr uint32_t kHasSubxacts = 1u << 1;
inline constexpr uint32_t kHasRelations = 1u << 2;
inline constexpr uint32_t kHasInvalidations = 1u << 3;
inline constexpr uint32_t kHasTwoPhase = 1u << 4;
inline constexpr uint32_t kHasOrigin = 1u << 5;
inline constexpr uint32_t kHasGid = 1u << 7;
inline constexpr uint32_t kHasDroppedStats = 1u << 8;

inline constexpr size_t kDatabaseSize = 8;       // xl_xact_dbinfo
inline constexpr size_t kStatsItemSize = 12;     // xl_xact_stats_item
inline constexpr size_t kInvalidationSize = 16;  // SharedInvalidationMessage

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
inline constexpr uint8_t kCreate = 0x10;
inline constexpr uint8_t kTruncate = 0x20;
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

// CLOG, CommitTs: access/clog.h, access/commit_ts.h. Zeroing a page: its number, four bytes.
namespace clog {
inline constexpr uint8_t kZeroPage = 0x00;
inline constexpr uint8_t kTruncate = 0x10;
struct Truncate {  // xl_clog_truncate
  uint32_t page;
  uint32_t oldest_xid;
  uint32_t oldest_xid_database;
};
}  // namespace clog
namespace commit_ts {
inline constexpr uint8_t kZeroPage = 0x00;
inline constexpr uint8_t kTruncate = 0x10;
struct Truncate {  // xl_commit_ts_truncate
  uint32_t page;
  uint32_t oldest_xid;
};
}  // namespace commit_ts

// Database: commands/dbcommands_xlog.h
namespace dbase {
inline constexpr uint8_t kCreateFileCopy = 0x00;
inline constexpr uint8_t kCreateWalLog = 0x10;
inline constexpr uint8_t kDrop = 0x20;

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
inline constexpr uint8_t kCreate = 0x00;
inline constexpr uint8_t kDrop = 0x10;
struct Create {  // xl_tblspc_create_rec; the path follows, ended by a zero byte
  uint32_t tablespace;
};
struct Drop {  // xl_tblspc_drop_rec
  uint32_t tablespace;
};
}  // namespace tblspc

// MultiXact: access/multixact.h. Zeroing a page: its number, four bytes.
namespace multixact {
inline constexpr uint8_t kZeroOffsetsPage = 0x00;
inline constexpr uint8_t kZeroMembersPage = 0x10;
inline constexpr uint8_t kCreateId = 0x20;
inline constexpr uint8_t kTruncateId = 0x30;

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
inline constexpr uint8_t kUpdate = 0x00;
inline constexpr int32_t kMapSize = 512;  // sizeof(RelMapFile)
struct Update {                           // xl_relmap_update; the map follows
  uint32_t database;
  uint32_t tablespace;
  int32_t bytes;
};
}  // namespace relmap

// Heap, Heap2: access/heapam_xlog.h. Where in the main data the flags are, and which of them say
// that bits of the visibility map are cleared; where the numbers of line pointers are.
namespace heap {
inline constexpr uint8_t kInsert = 0x00;
inline constexpr uint8_t kDelete = 0x10;
inline constexpr uint8_t kUpdate = 0x20;
inline constexpr uint8_t kHotUpdate = 0x40;
inline constexpr uint8_t kLock = 0x60;
inline constexpr size_t kInsertLine = 0;
inline constexpr size_t kDeleteLine = 4;
inline constexpr size_t kUpdateOldLine = 4;
inline constexpr size_t kUpdateNewLine = 12;
inline constexpr size_t kLockLine = 4;
inline constexpr size_t kInsertFlags = 2;
inline constexpr size_t kDeleteFlags = 7;
inline constexpr size_t kUpdateFlags = 7;
inline constexpr size_t kLockFlags = 7;
inline constexpr uint8_t kAllVisibleCleared = 1 << 0;  // XLH_INSERT_…, XLH_DELETE_…
inline constexpr uint8_t kOldAllVisibleCleared = 1 << 0;
inline constexpr uint8_t kNewAllVisibleCleared = 1 << 1;
inline constexpr uint8_t kAllFrozenCleared = 1 << 0;  // XLH_LOCK_ALL_FROZEN_CLEARED
}  // namespace heap
namespace heap2 {
inline constexpr uint8_t kPrune = 0x10;
inline constexpr uint8_t kVacuum = 0x20;
inline constexpr size_t kPruneRedirected = 4;
inline constexpr uint8_t kVisible = 0x40;
inline constexpr uint8_t kMultiInsert = 0x50;
inline constexpr uint8_t kLockUpdated = 0x60;
inline constexpr size_t kMultiInsertFlags = 0;
inline constexpr size_t kLockUpdatedFlags = 7;
}  // namespace heap2

// Btree: access/nbtxlog.h
namespace btree {
inline constexpr uint8_t kInsertLeaf = 0x00;
inline constexpr size_t kInsertLine = 0;
}  // namespace btree

}  // namespace neon_redo::layout

#endif  // NEON_REDO_PG_RECORD_LAYOUT_H_
