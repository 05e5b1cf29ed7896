// The operations of the built-in resource managers: the high four bits of xl_info. A resource
// manager may use the highest of them as a flag. Which of these operations a version has is in
// pg/version.h. Freestanding.
#ifndef NEON_REDO_PG_OPERATIONS_H_
#define NEON_REDO_PG_OPERATIONS_H_

#include <cstdint>

namespace neon_redo::layout {

// XLOG_XACT_OPMASK, XLOG_HEAP_OPMASK, XLOG_BRIN_OPMASK: the operation where the highest bit is a
// flag.
inline constexpr uint8_t kOperationMask = 0x70;

// XLOG: catalog/pg_control.h
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
inline constexpr uint8_t kAssignLsn = 0xc0;  // since 19
inline constexpr uint8_t kOverwriteContrecord = 0xd0;
inline constexpr uint8_t kCheckpointRedo = 0xe0;         // since 17
inline constexpr uint8_t kLogicalDecodingChange = 0xf0;  // since 19
}  // namespace xlog
// Transaction: access/xact.h. The highest bit is a flag: kHasInfo.
namespace xact {
inline constexpr uint8_t kCommit = 0x00;
inline constexpr uint8_t kPrepare = 0x10;
inline constexpr uint8_t kAbort = 0x20;
inline constexpr uint8_t kCommitPrepared = 0x30;
inline constexpr uint8_t kAbortPrepared = 0x40;
inline constexpr uint8_t kAssignment = 0x50;
inline constexpr uint8_t kInvalidations = 0x60;
inline constexpr uint8_t kHasInfo = 0x80;  // XLOG_XACT_HAS_INFO
}  // namespace xact
// Storage: catalog/storage_xlog.h
namespace smgr {
inline constexpr uint8_t kCreate = 0x10;
inline constexpr uint8_t kTruncate = 0x20;
}  // namespace smgr
// CLOG: access/clog.h
namespace clog {
inline constexpr uint8_t kZeroPage = 0x00;
inline constexpr uint8_t kTruncate = 0x10;
}  // namespace clog
// Database: commands/dbcommands_xlog.h
namespace dbase {
inline constexpr uint8_t kCreateFileCopy = 0x00;
inline constexpr uint8_t kCreateWalLog = 0x10;
inline constexpr uint8_t kDrop = 0x20;
}  // namespace dbase
// Tablespace: commands/tablespace.h
namespace tblspc {
inline constexpr uint8_t kCreate = 0x00;
inline constexpr uint8_t kDrop = 0x10;
}  // namespace tblspc
// MultiXact: access/multixact.h
namespace multixact {
inline constexpr uint8_t kZeroOffsetsPage = 0x00;
inline constexpr uint8_t kZeroMembersPage = 0x10;
inline constexpr uint8_t kCreateId = 0x20;
inline constexpr uint8_t kTruncateId = 0x30;
}  // namespace multixact
// RelMap: utils/relmapper.h
namespace relmap {
inline constexpr uint8_t kUpdate = 0x00;
}  // namespace relmap
// Standby: storage/standbydefs.h
namespace standby {
inline constexpr uint8_t kLock = 0x00;
inline constexpr uint8_t kRunningXacts = 0x10;
inline constexpr uint8_t kInvalidations = 0x20;
}  // namespace standby
// Heap2: access/heapam_xlog.h. The highest bit is a flag: heap::kInitPage.
namespace heap2 {
inline constexpr uint8_t kRewrite = 0x00;
inline constexpr uint8_t kPrune = 0x10;  // these three up to 16
inline constexpr uint8_t kVacuum = 0x20;
inline constexpr uint8_t kFreezePage = 0x30;
inline constexpr uint8_t kPruneOnAccess = 0x10;  // these three since 17
inline constexpr uint8_t kPruneVacuumScan = 0x20;
inline constexpr uint8_t kPruneVacuumCleanup = 0x30;
inline constexpr uint8_t kVisible = 0x40;
inline constexpr uint8_t kMultiInsert = 0x50;
inline constexpr uint8_t kLockUpdated = 0x60;
inline constexpr uint8_t kNewCid = 0x70;
}  // namespace heap2
// Heap: access/heapam_xlog.h. The highest bit is a flag: kInitPage.
namespace heap {
inline constexpr uint8_t kInsert = 0x00;
inline constexpr uint8_t kDelete = 0x10;
inline constexpr uint8_t kUpdate = 0x20;
inline constexpr uint8_t kTruncate = 0x30;
inline constexpr uint8_t kHotUpdate = 0x40;
inline constexpr uint8_t kConfirm = 0x50;
inline constexpr uint8_t kLock = 0x60;
inline constexpr uint8_t kInplace = 0x70;
inline constexpr uint8_t kInitPage = 0x80;  // XLOG_HEAP_INIT_PAGE
}  // namespace heap
// Btree: access/nbtxlog.h
namespace btree {
inline constexpr uint8_t kInsertLeaf = 0x00;
inline constexpr uint8_t kInsertUpper = 0x10;
inline constexpr uint8_t kInsertMeta = 0x20;
inline constexpr uint8_t kSplitLeft = 0x30;
inline constexpr uint8_t kSplitRight = 0x40;
inline constexpr uint8_t kInsertPost = 0x50;
inline constexpr uint8_t kDedup = 0x60;
inline constexpr uint8_t kDelete = 0x70;
inline constexpr uint8_t kUnlinkPage = 0x80;
inline constexpr uint8_t kUnlinkPageMeta = 0x90;
inline constexpr uint8_t kNewRoot = 0xa0;
inline constexpr uint8_t kMarkPageHalfDead = 0xb0;
inline constexpr uint8_t kVacuum = 0xc0;
inline constexpr uint8_t kReusePage = 0xd0;
inline constexpr uint8_t kMetaCleanup = 0xe0;
}  // namespace btree
// Hash: access/hash_xlog.h
namespace hash {
inline constexpr uint8_t kInitMetaPage = 0x00;
inline constexpr uint8_t kInitBitmapPage = 0x10;
inline constexpr uint8_t kInsert = 0x20;
inline constexpr uint8_t kAddOverflowPage = 0x30;
inline constexpr uint8_t kSplitAllocatePage = 0x40;
inline constexpr uint8_t kSplitPage = 0x50;
inline constexpr uint8_t kSplitComplete = 0x60;
inline constexpr uint8_t kMovePageContents = 0x70;
inline constexpr uint8_t kSqueezePage = 0x80;
inline constexpr uint8_t kDelete = 0x90;
inline constexpr uint8_t kSplitCleanup = 0xa0;
inline constexpr uint8_t kUpdateMetaPage = 0xb0;
inline constexpr uint8_t kVacuumOnePage = 0xc0;
}  // namespace hash
// Gin: access/ginxlog.h
namespace gin {
inline constexpr uint8_t kCreatePostingTree = 0x10;
inline constexpr uint8_t kInsert = 0x20;
inline constexpr uint8_t kSplit = 0x30;
inline constexpr uint8_t kVacuumPage = 0x40;
inline constexpr uint8_t kVacuumDataLeafPage = 0x90;
inline constexpr uint8_t kDeletePage = 0x50;
inline constexpr uint8_t kUpdateMetaPage = 0x60;
inline constexpr uint8_t kInsertListPage = 0x70;
inline constexpr uint8_t kDeleteListPage = 0x80;
}  // namespace gin
// Gist: access/gistxlog.h
namespace gist {
inline constexpr uint8_t kPageUpdate = 0x00;
inline constexpr uint8_t kDelete = 0x10;
inline constexpr uint8_t kPageReuse = 0x20;
inline constexpr uint8_t kPageSplit = 0x30;
inline constexpr uint8_t kPageDelete = 0x60;
inline constexpr uint8_t kAssignLsn = 0x70;
}  // namespace gist
// Sequence: commands/sequence.h
namespace seq {
inline constexpr uint8_t kLog = 0x00;
}  // namespace seq
// SPGist: access/spgxlog.h
namespace spgist {
inline constexpr uint8_t kAddLeaf = 0x10;
inline constexpr uint8_t kMoveLeafs = 0x20;
inline constexpr uint8_t kAddNode = 0x30;
inline constexpr uint8_t kSplitTuple = 0x40;
inline constexpr uint8_t kPickSplit = 0x50;
inline constexpr uint8_t kVacuumLeaf = 0x60;
inline constexpr uint8_t kVacuumRoot = 0x70;
inline constexpr uint8_t kVacuumRedirect = 0x80;
}  // namespace spgist
// BRIN: access/brin_xlog.h. The highest bit is a flag: kInitPage.
namespace brin {
inline constexpr uint8_t kCreateIndex = 0x00;
inline constexpr uint8_t kInsert = 0x10;
inline constexpr uint8_t kUpdate = 0x20;
inline constexpr uint8_t kSamepageUpdate = 0x30;
inline constexpr uint8_t kRevmapExtend = 0x40;
inline constexpr uint8_t kDesummarize = 0x50;
inline constexpr uint8_t kInitPage = 0x80;  // XLOG_BRIN_INIT_PAGE
}  // namespace brin
// CommitTs: access/commit_ts.h
namespace commit_ts {
inline constexpr uint8_t kZeroPage = 0x00;
inline constexpr uint8_t kTruncate = 0x10;
}  // namespace commit_ts
// ReplicationOrigin: replication/origin.h
namespace repl_origin {
inline constexpr uint8_t kSet = 0x00;
inline constexpr uint8_t kDrop = 0x10;
}  // namespace repl_origin
// Generic has one operation (access/generic_xlog.h).
namespace generic {
inline constexpr uint8_t kPages = 0x00;
}  // namespace generic
// LogicalMessage: replication/message.h
namespace logical_message {
inline constexpr uint8_t kMessage = 0x00;
}  // namespace logical_message

}  // namespace neon_redo::layout

#endif  // NEON_REDO_PG_OPERATIONS_H_
