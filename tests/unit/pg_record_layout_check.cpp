// Holds resource managers, their operations and the layouts of their records (cpp_core/pg) against
// the headers of the server.
extern "C" {
#include "postgres.h"
//
#include "access/brin_xlog.h"
#include "access/clog.h"
#include "access/commit_ts.h"
#include "access/generic_xlog.h"
#include "access/ginxlog.h"
#include "access/gistxlog.h"
#include "access/hash_xlog.h"
#include "access/heapam_xlog.h"
#include "access/multixact.h"
#include "access/nbtxlog.h"
#include "access/slru.h"
#include "access/spgxlog.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog_internal.h"
#include "catalog/pg_control.h"
#include "catalog/storage_xlog.h"
#include "commands/dbcommands_xlog.h"
#include "commands/sequence.h"
#if PG_VERSION_NUM >= 190000
#include "commands/sequence_xlog.h"
#endif
#include "commands/tablespace.h"
#include "replication/message.h"
#include "replication/origin.h"
#include "storage/fsm_internals.h"
#include "storage/standbydefs.h"
#include "utils/relmapper.h"
}
#include "tests/unit/pg_layout_check.h"

#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/origin_file.h"
#include "cpp_core/pg/record_layout.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/slru.h"
#include "cpp_core/pg/xid.h"

namespace neon_redo {
namespace {

// Resource managers. RmgrIds is an enumeration made of access/rmgrlist.h.
SAME(+kRmXlog, +RM_XLOG_ID);
SAME(+kRmXact, +RM_XACT_ID);
SAME(+kRmSmgr, +RM_SMGR_ID);
SAME(+kRmClog, +RM_CLOG_ID);
SAME(+kRmDbase, +RM_DBASE_ID);
SAME(+kRmTblspc, +RM_TBLSPC_ID);
SAME(+kRmMultiXact, +RM_MULTIXACT_ID);
SAME(+kRmRelMap, +RM_RELMAP_ID);
SAME(+kRmStandby, +RM_STANDBY_ID);
SAME(+kRmHeap2, +RM_HEAP2_ID);
SAME(+kRmHeap, +RM_HEAP_ID);
SAME(+kRmBtree, +RM_BTREE_ID);
SAME(+kRmHash, +RM_HASH_ID);
SAME(+kRmGin, +RM_GIN_ID);
SAME(+kRmGist, +RM_GIST_ID);
SAME(+kRmSeq, +RM_SEQ_ID);
SAME(+kRmSpgist, +RM_SPGIST_ID);
SAME(+kRmBrin, +RM_BRIN_ID);
SAME(+kRmCommitTs, +RM_COMMIT_TS_ID);
SAME(+kRmReplOrigin, +RM_REPLORIGIN_ID);
SAME(+kRmGeneric, +RM_GENERIC_ID);
SAME(+kRmLogicalMsg, +RM_LOGICALMSG_ID);
SAME(kMaxBuiltinRmgr, RM_MAX_BUILTIN_ID);
SAME(kMinCustomRmgr, RM_MIN_CUSTOM_ID);

}  // namespace

namespace layout {
namespace {

SAME(kOperationMask, XLOG_BRIN_OPMASK);
SAME(kOperationMask, XLOG_XACT_OPMASK);
SAME(kOperationMask, XLOG_HEAP_OPMASK);

// XLOG
SAME(xlog::kCheckpointShutdown, XLOG_CHECKPOINT_SHUTDOWN);
SAME(xlog::kCheckpointOnline, XLOG_CHECKPOINT_ONLINE);
SAME(xlog::kNoop, XLOG_NOOP);
SAME(xlog::kNextOid, XLOG_NEXTOID);
SAME(xlog::kSwitch, XLOG_SWITCH);
SAME(xlog::kBackupEnd, XLOG_BACKUP_END);
SAME(xlog::kParameterChange, XLOG_PARAMETER_CHANGE);
SAME(xlog::kRestorePoint, XLOG_RESTORE_POINT);
SAME(xlog::kFpwChange, XLOG_FPW_CHANGE);
SAME(xlog::kEndOfRecovery, XLOG_END_OF_RECOVERY);
SAME(xlog::kFpiForHint, XLOG_FPI_FOR_HINT);
SAME(xlog::kFpi, XLOG_FPI);
SAME(xlog::kOverwriteContrecord, XLOG_OVERWRITE_CONTRECORD);
SAME(sizeof(xlog::ParameterChange), sizeof(xl_parameter_change));
SAME_FIELD(xlog::ParameterChange, max_connections, xl_parameter_change, MaxConnections);
SAME_FIELD(xlog::ParameterChange, max_worker_processes, xl_parameter_change, max_worker_processes);
SAME_FIELD(xlog::ParameterChange, max_wal_senders, xl_parameter_change, max_wal_senders);
SAME_FIELD(xlog::ParameterChange, max_prepared_xacts, xl_parameter_change, max_prepared_xacts);
SAME_FIELD(xlog::ParameterChange, max_locks_per_xact, xl_parameter_change, max_locks_per_xact);
SAME_FIELD(xlog::ParameterChange, wal_level, xl_parameter_change, wal_level);
SAME_FIELD(xlog::ParameterChange, wal_log_hints, xl_parameter_change, wal_log_hints);
SAME_FIELD(xlog::ParameterChange, track_commit_timestamp, xl_parameter_change,
           track_commit_timestamp);
#if PG_VERSION_NUM >= 170000
SAME(xlog::kCheckpointRedo, XLOG_CHECKPOINT_REDO);
SAME(sizeof(xlog::EndOfRecovery), offsetof(xl_end_of_recovery, wal_level));
#endif
SAME(kServer.end_of_recovery_size, sizeof(xl_end_of_recovery));
SAME_FIELD(xlog::EndOfRecovery, time, xl_end_of_recovery, end_time);
SAME_FIELD(xlog::EndOfRecovery, timeline, xl_end_of_recovery, ThisTimeLineID);
SAME_FIELD(xlog::EndOfRecovery, previous_timeline, xl_end_of_recovery, PrevTimeLineID);
SAME(sizeof(xlog::OverwriteContrecord), sizeof(xl_overwrite_contrecord));
SAME_FIELD(xlog::OverwriteContrecord, overwritten_lsn, xl_overwrite_contrecord, overwritten_lsn);
SAME_FIELD(xlog::OverwriteContrecord, time, xl_overwrite_contrecord, overwrite_time);
SAME(offsetof(xl_restore_point, rp_name), sizeof(int64_t));

// Transaction
SAME(xact::kCommit, XLOG_XACT_COMMIT);
SAME(xact::kPrepare, XLOG_XACT_PREPARE);
SAME(xact::kAbort, XLOG_XACT_ABORT);
SAME(xact::kCommitPrepared, XLOG_XACT_COMMIT_PREPARED);
SAME(xact::kAbortPrepared, XLOG_XACT_ABORT_PREPARED);
SAME(xact::kAssignment, XLOG_XACT_ASSIGNMENT);
SAME(xact::kInvalidations, XLOG_XACT_INVALIDATIONS);
SAME(xact::kHasInfo, XLOG_XACT_HAS_INFO);
SAME(xact::kHasDatabase, XACT_XINFO_HAS_DBINFO);
SAME(xact::kHasSubxacts, XACT_XINFO_HAS_SUBXACTS);
SAME(xact::kHasRelations, SERVER_HAS_RELATIONS);
SAME(xact::kHasInvalidations, XACT_XINFO_HAS_INVALS);
SAME(xact::kHasTwoPhase, XACT_XINFO_HAS_TWOPHASE);
SAME(xact::kHasOrigin, XACT_XINFO_HAS_ORIGIN);
SAME(xact::kHasGid, XACT_XINFO_HAS_GID);
SAME(xact::kHasDroppedStats, XACT_XINFO_HAS_DROPPED_STATS);
SAME(xact::kDatabaseSize, sizeof(xl_xact_dbinfo));
SAME(xact::kInvalidationSize, sizeof(SharedInvalidationMessage));
SAME(4, sizeof(xl_xact_xinfo));
SAME(4, MinSizeOfXactSubxacts);
SAME(4, SERVER_MIN_SIZE_OF_RELATIONS);
SAME(4, MinSizeOfXactStatsItems);
SAME(4, MinSizeOfXactInvals);
SAME(4, sizeof(xl_xact_twophase));
SAME(8, offsetof(xl_xact_origin, origin_timestamp));
SAME(8, MinSizeOfXactCommit);
SAME(8, MinSizeOfXactAbort);
SAME(sizeof(RelFileNode), sizeof(::SERVER_REL_TYPE));
SAME(sizeof(xact::Prepare), sizeof(xl_xact_prepare));
SAME_FIELD(xact::Prepare, magic, xl_xact_prepare, magic);
SAME_FIELD(xact::Prepare, total_length, xl_xact_prepare, total_len);
SAME_FIELD(xact::Prepare, xid, xl_xact_prepare, xid);
SAME_FIELD(xact::Prepare, database, xl_xact_prepare, database);
SAME_FIELD(xact::Prepare, prepared_at, xl_xact_prepare, prepared_at);
SAME_FIELD(xact::Prepare, owner, xl_xact_prepare, owner);
SAME_FIELD(xact::Prepare, subxacts, xl_xact_prepare, nsubxacts);
SAME_FIELD(xact::Prepare, commit_relations, xl_xact_prepare, ncommitrels);
SAME_FIELD(xact::Prepare, abort_relations, xl_xact_prepare, nabortrels);
SAME_FIELD(xact::Prepare, commit_stats, xl_xact_prepare, ncommitstats);
SAME_FIELD(xact::Prepare, abort_stats, xl_xact_prepare, nabortstats);
SAME_FIELD(xact::Prepare, invalidations, xl_xact_prepare, ninvalmsgs);
SAME_FIELD(xact::Prepare, init_file_invalidation, xl_xact_prepare, initfileinval);
SAME_FIELD(xact::Prepare, gid_length, xl_xact_prepare, gidlen);
SAME_FIELD(xact::Prepare, origin_lsn, xl_xact_prepare, origin_lsn);
SAME_FIELD(xact::Prepare, origin_time, xl_xact_prepare, origin_timestamp);

// Storage
SAME(smgr::kCreate, XLOG_SMGR_CREATE);
SAME(smgr::kTruncate, XLOG_SMGR_TRUNCATE);
SAME(smgr::kTruncateHeap, SMGR_TRUNCATE_HEAP);
SAME(smgr::kTruncateVisibilityMap, SMGR_TRUNCATE_VM);
SAME(smgr::kTruncateFreeSpaceMap, SMGR_TRUNCATE_FSM);
SAME(smgr::kSlotsPerFsmPage, SlotsPerFSMPage);
SAME(sizeof(smgr::Create), sizeof(xl_smgr_create));
SAME_FIELD(smgr::Create, rel, xl_smgr_create, SERVER_REL_FIELD);
SAME_FIELD(smgr::Create, fork, xl_smgr_create, forkNum);
SAME(sizeof(smgr::Truncate), sizeof(xl_smgr_truncate));
SAME_FIELD(smgr::Truncate, blocks, xl_smgr_truncate, blkno);
SAME_FIELD(smgr::Truncate, rel, xl_smgr_truncate, SERVER_REL_FIELD);
SAME_FIELD(smgr::Truncate, flags, xl_smgr_truncate, flags);
SAME(+kMainFork, +MAIN_FORKNUM);
SAME(+kFreeSpaceMapFork, +FSM_FORKNUM);
SAME(+kVisibilityMapFork, +VISIBILITYMAP_FORKNUM);
SAME(+kInitFork, +INIT_FORKNUM);

// CLOG, CommitTs
SAME(clog::kZeroPage, CLOG_ZEROPAGE);
SAME(clog::kTruncate, CLOG_TRUNCATE);
constexpr size_t kPageNumberSize = kServer.slru_page_number_size;
SAME(0, offsetof(xl_clog_truncate, pageno));
SAME(kPageNumberSize, sizeof(xl_clog_truncate::pageno));
SAME(kPageNumberSize + sizeof(clog::TruncateRest), sizeof(xl_clog_truncate));
SAME(kPageNumberSize + offsetof(clog::TruncateRest, oldest_xid),
     offsetof(xl_clog_truncate, oldestXact));
SAME(kPageNumberSize + offsetof(clog::TruncateRest, oldest_xid_database),
     offsetof(xl_clog_truncate, oldestXactDb));
SAME(commit_ts::kZeroPage, COMMIT_TS_ZEROPAGE);
SAME(commit_ts::kTruncate, COMMIT_TS_TRUNCATE);
SAME(0, offsetof(xl_commit_ts_truncate, pageno));
SAME(kPageNumberSize, sizeof(xl_commit_ts_truncate::pageno));
SAME(kPageNumberSize + sizeof(commit_ts::TruncateRest), SizeOfCommitTsTruncate);
SAME(kPageNumberSize, offsetof(xl_commit_ts_truncate, oldestXid));
SAME(kFirstNormalXid, FirstNormalTransactionId);
SAME(kSlruPagesPerSegment, SLRU_PAGES_PER_SEGMENT);

// ReplicationOrigin
SAME(sizeof(repl_origin::Set), sizeof(xl_replorigin_set));
SAME_FIELD(repl_origin::Set, remote_lsn, xl_replorigin_set, remote_lsn);
SAME_FIELD(repl_origin::Set, origin, xl_replorigin_set, node_id);
SAME_FIELD(repl_origin::Set, force, xl_replorigin_set, force);
SAME(sizeof(repl_origin::Drop), sizeof(xl_replorigin_drop));
SAME_FIELD(repl_origin::Drop, origin, xl_replorigin_drop, node_id);

// Database, Tablespace
SAME(dbase::kCreateFileCopy, XLOG_DBASE_CREATE_FILE_COPY);
SAME(dbase::kCreateWalLog, XLOG_DBASE_CREATE_WAL_LOG);
SAME(dbase::kDrop, XLOG_DBASE_DROP);
SAME(sizeof(dbase::CreateFileCopy), sizeof(xl_dbase_create_file_copy_rec));
SAME_FIELD(dbase::CreateFileCopy, database, xl_dbase_create_file_copy_rec, db_id);
SAME_FIELD(dbase::CreateFileCopy, tablespace, xl_dbase_create_file_copy_rec, tablespace_id);
SAME_FIELD(dbase::CreateFileCopy, source_database, xl_dbase_create_file_copy_rec, src_db_id);
SAME_FIELD(dbase::CreateFileCopy, source_tablespace, xl_dbase_create_file_copy_rec,
           src_tablespace_id);
SAME(sizeof(dbase::CreateWalLog), sizeof(xl_dbase_create_wal_log_rec));
SAME_FIELD(dbase::CreateWalLog, database, xl_dbase_create_wal_log_rec, db_id);
SAME_FIELD(dbase::CreateWalLog, tablespace, xl_dbase_create_wal_log_rec, tablespace_id);
SAME(sizeof(dbase::Drop), MinSizeOfDbaseDropRec);
SAME_FIELD(dbase::Drop, database, xl_dbase_drop_rec, db_id);
SAME_FIELD(dbase::Drop, tablespaces, xl_dbase_drop_rec, ntablespaces);
SAME(tblspc::kCreate, XLOG_TBLSPC_CREATE);
SAME(tblspc::kDrop, XLOG_TBLSPC_DROP);
SAME(sizeof(tblspc::Create), offsetof(xl_tblspc_create_rec, ts_path));
SAME_FIELD(tblspc::Create, tablespace, xl_tblspc_create_rec, ts_id);
SAME(sizeof(tblspc::Drop), sizeof(xl_tblspc_drop_rec));
SAME_FIELD(tblspc::Drop, tablespace, xl_tblspc_drop_rec, ts_id);

// MultiXact
SAME(multixact::kZeroOffsetsPage, XLOG_MULTIXACT_ZERO_OFF_PAGE);
SAME(multixact::kZeroMembersPage, XLOG_MULTIXACT_ZERO_MEM_PAGE);
SAME(multixact::kCreateId, XLOG_MULTIXACT_CREATE_ID);
SAME(multixact::kTruncateId, XLOG_MULTIXACT_TRUNCATE_ID);
SAME(sizeof(multixact::Member), sizeof(MultiXactMember));
SAME_FIELD(multixact::Member, xid, MultiXactMember, xid);
SAME_FIELD(multixact::Member, status, MultiXactMember, status);
#if PG_VERSION_NUM < 190000
SAME(sizeof(multixact::Create), SizeOfMultiXactCreate);
SAME_FIELD(multixact::Create, multixact, xl_multixact_create, mid);
SAME_FIELD(multixact::Create, offset, xl_multixact_create, moff);
SAME_FIELD(multixact::Create, members, xl_multixact_create, nmembers);
SAME(sizeof(multixact::Truncate), SizeOfMultiXactTruncate);
SAME_FIELD(multixact::Truncate, oldest_database, xl_multixact_truncate, oldestMultiDB);
SAME_FIELD(multixact::Truncate, offsets_start, xl_multixact_truncate, startTruncOff);
SAME_FIELD(multixact::Truncate, offsets_end, xl_multixact_truncate, endTruncOff);
SAME_FIELD(multixact::Truncate, members_start, xl_multixact_truncate, startTruncMemb);
SAME_FIELD(multixact::Truncate, members_end, xl_multixact_truncate, endTruncMemb);
#endif
SAME(kFirstMultixact, FirstMultiXactId);

// RelMap
SAME(relmap::kUpdate, XLOG_RELMAP_UPDATE);
SAME(sizeof(relmap::Update), MinSizeOfRelmapUpdate);
SAME_FIELD(relmap::Update, database, xl_relmap_update, dbid);
SAME_FIELD(relmap::Update, tablespace, xl_relmap_update, tsid);
SAME_FIELD(relmap::Update, bytes, xl_relmap_update, nbytes);

// Heap, Heap2
SAME(heap::kInsert, XLOG_HEAP_INSERT);
SAME(heap::kDelete, XLOG_HEAP_DELETE);
SAME(heap::kUpdate, XLOG_HEAP_UPDATE);
SAME(heap::kHotUpdate, XLOG_HEAP_HOT_UPDATE);
SAME(heap::kLock, XLOG_HEAP_LOCK);
SAME(heap::kInsertLine, offsetof(xl_heap_insert, offnum));
SAME(heap::kDeleteLine, offsetof(xl_heap_delete, offnum));
SAME(heap::kUpdateOldLine, offsetof(xl_heap_update, old_offnum));
SAME(heap::kUpdateNewLine, offsetof(xl_heap_update, new_offnum));
SAME(heap::kLockLine, offsetof(xl_heap_lock, offnum));
#if PG_VERSION_NUM >= 170000
SAME(heap2::kPruneOnAccess, XLOG_HEAP2_PRUNE_ON_ACCESS);
SAME(heap2::kPruneVacuumScan, XLOG_HEAP2_PRUNE_VACUUM_SCAN);
SAME(heap2::kPruneVacuumCleanup, XLOG_HEAP2_PRUNE_VACUUM_CLEANUP);
#if PG_VERSION_NUM < 190000
SAME(heap2::kPruneFlags, offsetof(xl_heap_prune, flags));
SAME(sizeof(uint8_t), sizeof(xl_heap_prune::flags));
SAME(heap2::kPruneSize, SizeOfHeapPrune);
#endif
SAME(heap2::kPruneIsCatalog, XLHP_IS_CATALOG_REL);
SAME(heap2::kPruneCleanupLock, XLHP_CLEANUP_LOCK);
SAME(heap2::kPruneHasHorizon, XLHP_HAS_CONFLICT_HORIZON);
SAME(heap2::kPruneHasFreezePlans, XLHP_HAS_FREEZE_PLANS);
SAME(heap2::kPruneHasRedirections, XLHP_HAS_REDIRECTIONS);
SAME(heap2::kPruneHasDeadItems, XLHP_HAS_DEAD_ITEMS);
SAME(heap2::kPruneHasUnusedItems, XLHP_HAS_NOW_UNUSED_ITEMS);
SAME(heap2::kFreezePlansAt, offsetof(xlhp_freeze_plans, plans));
SAME(heap2::kFreezePlanSize, sizeof(xlhp_freeze_plan));
SAME(0, offsetof(xlhp_freeze_plan, xmax));
SAME(heap2::kFreezePlanInfomask2, offsetof(xlhp_freeze_plan, t_infomask2));
SAME(heap2::kFreezePlanInfomask, offsetof(xlhp_freeze_plan, t_infomask));
SAME(heap2::kFreezePlanFlags, offsetof(xlhp_freeze_plan, frzflags));
SAME(heap2::kFreezePlanTuples, offsetof(xlhp_freeze_plan, ntuples));
SAME(heap2::kFreezeXvac, XLH_FREEZE_XVAC);
SAME(heap2::kInvalidXvac, XLH_INVALID_XVAC);
SAME(2, offsetof(xlhp_prune_items, data));
#else
SAME(heap2::kPrune, XLOG_HEAP2_PRUNE);
SAME(heap2::kVacuum, XLOG_HEAP2_VACUUM);
SAME(heap2::kFreezePage, XLOG_HEAP2_FREEZE_PAGE);
SAME(heap2::kPruneRedirected, offsetof(xl_heap_prune, nredirected));
#endif
SAME(heap::kInsertFlags, offsetof(xl_heap_insert, flags));
SAME(heap::kDeleteFlags, offsetof(xl_heap_delete, flags));
SAME(heap::kUpdateFlags, offsetof(xl_heap_update, flags));
SAME(heap::kLockFlags, offsetof(xl_heap_lock, flags));
SAME(heap::kAllVisibleCleared, XLH_INSERT_ALL_VISIBLE_CLEARED);
SAME(heap::kAllVisibleCleared, XLH_DELETE_ALL_VISIBLE_CLEARED);
SAME(heap::kOldAllVisibleCleared, XLH_UPDATE_OLD_ALL_VISIBLE_CLEARED);
SAME(heap::kNewAllVisibleCleared, XLH_UPDATE_NEW_ALL_VISIBLE_CLEARED);
SAME(heap::kAllFrozenCleared, XLH_LOCK_ALL_FROZEN_CLEARED);
SAME(heap2::kMultiInsert, XLOG_HEAP2_MULTI_INSERT);
SAME(heap2::kLockUpdated, XLOG_HEAP2_LOCK_UPDATED);
SAME(heap2::kMultiInsertFlags, offsetof(xl_heap_multi_insert, flags));
SAME(heap2::kLockUpdatedFlags, offsetof(xl_heap_lock_updated, flags));

// More of the transaction's flags
SAME(xact::kApplyFeedback, XACT_COMPLETION_APPLY_FEEDBACK);
SAME(xact::kUpdateRelcacheFile, XACT_COMPLETION_UPDATE_RELCACHE_FILE);
SAME(xact::kForceSyncCommit, XACT_COMPLETION_FORCE_SYNC_COMMIT);

// Standby, Sequence, Generic, ReplicationOrigin, LogicalMessage
SAME(standby::kLock, XLOG_STANDBY_LOCK);
SAME(standby::kRunningXacts, XLOG_RUNNING_XACTS);
SAME(standby::kInvalidations, XLOG_INVALIDATIONS);
SAME(seq::kLog, XLOG_SEQ_LOG);
SAME(repl_origin::kSet, XLOG_REPLORIGIN_SET);
SAME(repl_origin::kDrop, XLOG_REPLORIGIN_DROP);
SAME(logical_message::kMessage, XLOG_LOGICAL_MESSAGE);

// Heap, Heap2: the rest
SAME(heap::kTruncate, XLOG_HEAP_TRUNCATE);
SAME(heap::kConfirm, XLOG_HEAP_CONFIRM);
SAME(heap::kInplace, XLOG_HEAP_INPLACE);
SAME(heap::kInitPage, XLOG_HEAP_INIT_PAGE);
SAME(heap::kInsertSize, SizeOfHeapInsert);
SAME(heap::kDeleteSize, SizeOfHeapDelete);
SAME(heap::kUpdateSize, SizeOfHeapUpdate);
SAME(heap::kLockSize, SizeOfHeapLock);
SAME(heap::kInsertAllFrozenSet, XLH_INSERT_ALL_FROZEN_SET);
SAME(heap::kDeleteSuper, XLH_DELETE_IS_SUPER);
SAME(heap::kDeletePartitionMove, XLH_DELETE_IS_PARTITION_MOVE);
SAME(heap::kPrefixFromOld, XLH_UPDATE_PREFIX_FROM_OLD);
SAME(heap::kSuffixFromOld, XLH_UPDATE_SUFFIX_FROM_OLD);
SAME(heap::kTruncateCascade, XLH_TRUNCATE_CASCADE);
SAME(heap::kTruncateRestartSequences, XLH_TRUNCATE_RESTART_SEQS);
SAME(heap2::kRewrite, XLOG_HEAP2_REWRITE);
#if PG_VERSION_NUM < 190000
SAME(heap2::kVisible, XLOG_HEAP2_VISIBLE);
#endif
SAME(heap2::kNewCid, XLOG_HEAP2_NEW_CID);

// btree
SAME(btree::kInsertLeaf, XLOG_BTREE_INSERT_LEAF);
SAME(btree::kInsertUpper, XLOG_BTREE_INSERT_UPPER);
SAME(btree::kInsertMeta, XLOG_BTREE_INSERT_META);
SAME(btree::kSplitLeft, XLOG_BTREE_SPLIT_L);
SAME(btree::kSplitRight, XLOG_BTREE_SPLIT_R);
SAME(btree::kInsertPost, XLOG_BTREE_INSERT_POST);
SAME(btree::kDedup, XLOG_BTREE_DEDUP);
SAME(btree::kDelete, XLOG_BTREE_DELETE);
SAME(btree::kUnlinkPage, XLOG_BTREE_UNLINK_PAGE);
SAME(btree::kUnlinkPageMeta, XLOG_BTREE_UNLINK_PAGE_META);
SAME(btree::kNewRoot, XLOG_BTREE_NEWROOT);
SAME(btree::kMarkPageHalfDead, XLOG_BTREE_MARK_PAGE_HALFDEAD);
SAME(btree::kVacuum, XLOG_BTREE_VACUUM);
SAME(btree::kReusePage, XLOG_BTREE_REUSE_PAGE);
SAME(btree::kMetaCleanup, XLOG_BTREE_META_CLEANUP);

// hash
SAME(hash::kInitMetaPage, XLOG_HASH_INIT_META_PAGE);
SAME(hash::kInitBitmapPage, XLOG_HASH_INIT_BITMAP_PAGE);
SAME(hash::kInsert, XLOG_HASH_INSERT);
SAME(hash::kAddOverflowPage, XLOG_HASH_ADD_OVFL_PAGE);
SAME(hash::kSplitAllocatePage, XLOG_HASH_SPLIT_ALLOCATE_PAGE);
SAME(hash::kSplitPage, XLOG_HASH_SPLIT_PAGE);
SAME(hash::kSplitComplete, XLOG_HASH_SPLIT_COMPLETE);
SAME(hash::kMovePageContents, XLOG_HASH_MOVE_PAGE_CONTENTS);
SAME(hash::kSqueezePage, XLOG_HASH_SQUEEZE_PAGE);
SAME(hash::kDelete, XLOG_HASH_DELETE);
SAME(hash::kSplitCleanup, XLOG_HASH_SPLIT_CLEANUP);
SAME(hash::kUpdateMetaPage, XLOG_HASH_UPDATE_META_PAGE);
SAME(hash::kVacuumOnePage, XLOG_HASH_VACUUM_ONE_PAGE);
SAME(sizeof(hash::SqueezePage), SizeOfHashSqueezePage);
SAME(offsetof(hash::SqueezePage, tuples), offsetof(xl_hash_squeeze_page, ntups));
SAME(offsetof(hash::SqueezePage, is_primary),
     offsetof(xl_hash_squeeze_page, is_prim_bucket_same_wrt));
SAME(offsetof(hash::SqueezePage, is_previous),
     offsetof(xl_hash_squeeze_page, is_prev_bucket_same_wrt));

// gin
SAME(gin::kCreatePostingTree, XLOG_GIN_CREATE_PTREE);
SAME(gin::kInsert, XLOG_GIN_INSERT);
SAME(gin::kSplit, XLOG_GIN_SPLIT);
SAME(gin::kVacuumPage, XLOG_GIN_VACUUM_PAGE);
SAME(gin::kVacuumDataLeafPage, XLOG_GIN_VACUUM_DATA_LEAF_PAGE);
SAME(gin::kDeletePage, XLOG_GIN_DELETE_PAGE);
SAME(gin::kUpdateMetaPage, XLOG_GIN_UPDATE_META_PAGE);
SAME(gin::kInsertListPage, XLOG_GIN_INSERT_LISTPAGE);
SAME(gin::kDeleteListPage, XLOG_GIN_DELETE_LISTPAGE);

// gist
SAME(gist::kPageUpdate, XLOG_GIST_PAGE_UPDATE);
SAME(gist::kDelete, XLOG_GIST_DELETE);
SAME(gist::kPageReuse, XLOG_GIST_PAGE_REUSE);
SAME(gist::kPageSplit, XLOG_GIST_PAGE_SPLIT);
SAME(gist::kPageDelete, XLOG_GIST_PAGE_DELETE);
#if PG_VERSION_NUM < 190000
SAME(gist::kAssignLsn, XLOG_GIST_ASSIGN_LSN);
#endif

// spgist
SAME(spgist::kAddLeaf, XLOG_SPGIST_ADD_LEAF);
SAME(spgist::kMoveLeafs, XLOG_SPGIST_MOVE_LEAFS);
SAME(spgist::kAddNode, XLOG_SPGIST_ADD_NODE);
SAME(spgist::kSplitTuple, XLOG_SPGIST_SPLIT_TUPLE);
SAME(spgist::kPickSplit, XLOG_SPGIST_PICKSPLIT);
SAME(spgist::kVacuumLeaf, XLOG_SPGIST_VACUUM_LEAF);
SAME(spgist::kVacuumRoot, XLOG_SPGIST_VACUUM_ROOT);
SAME(spgist::kVacuumRedirect, XLOG_SPGIST_VACUUM_REDIRECT);

// brin
SAME(brin::kCreateIndex, XLOG_BRIN_CREATE_INDEX);
SAME(brin::kInsert, XLOG_BRIN_INSERT);
SAME(brin::kUpdate, XLOG_BRIN_UPDATE);
SAME(brin::kSamepageUpdate, XLOG_BRIN_SAMEPAGE_UPDATE);
SAME(brin::kRevmapExtend, XLOG_BRIN_REVMAP_EXTEND);
SAME(brin::kDesummarize, XLOG_BRIN_DESUMMARIZE);
SAME(brin::kInitPage, XLOG_BRIN_INIT_PAGE);

SAME(btree::kInsertLine, offsetof(xl_btree_insert, offnum));

}  // namespace
}  // namespace layout
}  // namespace neon_redo
