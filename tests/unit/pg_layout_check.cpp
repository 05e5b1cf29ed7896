// Holds the tables of cpp_core/pg against the headers of the server that is installed: the row of
// its major version, and what is the same in all versions. Nothing here runs: what does not agree
// does not compile. PG_CONFIG=... picks another server's headers.
extern "C" {
#include "postgres.h"
//
#include "access/brin_page.h"
#include "access/brin_xlog.h"
#include "access/clog.h"
#include "access/commit_ts.h"
#include "access/generic_xlog.h"
#include "access/gin_private.h"
#include "access/ginxlog.h"
#include "access/gist.h"
#include "access/gistxlog.h"
#include "access/hash.h"
#include "access/hash_xlog.h"
#include "access/heapam_xlog.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/itup.h"
#include "access/multixact.h"
#include "access/nbtree.h"
#include "access/nbtxlog.h"
#include "access/slru.h"
#include "access/spgist_private.h"
#include "access/spgxlog.h"
#include "access/transam.h"
#include "access/visibilitymapdefs.h"
#include "access/xact.h"
#include "access/xlog_internal.h"
#include "access/xlogrecord.h"
#include "catalog/catversion.h"
#include "catalog/pg_control.h"
#include "catalog/pg_tablespace_d.h"
#include "catalog/storage_xlog.h"
#include "commands/dbcommands_xlog.h"
#include "commands/sequence.h"
#include "commands/tablespace.h"
#include "common/relpath.h"
#include "replication/message.h"
#include "replication/origin.h"
#include "storage/bufpage.h"
#include "storage/fsm_internals.h"
#include "storage/large_object.h"
#include "storage/sinval.h"
#include "storage/standbydefs.h"
#include "utils/relmapper.h"
}
#undef printf
#undef snprintf
#undef vsnprintf
#undef sprintf
#undef vsprintf
#undef fprintf
#undef vfprintf
#undef vprintf
#undef strerror
#undef strerror_r

#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/index_tuple.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/record_layout.h"
#include "cpp_core/pg/slru.h"
#include "cpp_core/pg/special_area.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/pg/visibility_map.h"
#include "cpp_core/pg/wal_page.h"
#include "cpp_core/pg/wal_record.h"
#include "neon_redo/block.h"

namespace neon_redo::layout {
namespace {

#define SAME(ours, theirs) static_assert((ours) == (theirs))
#define SAME_FIELD(ours, our_field, theirs, their_field)          \
  SAME(offsetof(ours, our_field), offsetof(theirs, their_field)); \
  SAME(sizeof(static_cast<ours*>(nullptr)->our_field),            \
       sizeof(static_cast<theirs*>(nullptr)->their_field))

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
SAME(sizeof(xlog::EndOfRecovery), sizeof(xl_end_of_recovery));
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
SAME(xact::kHasRelations, XACT_XINFO_HAS_RELFILENODES);
SAME(xact::kHasInvalidations, XACT_XINFO_HAS_INVALS);
SAME(xact::kHasTwoPhase, XACT_XINFO_HAS_TWOPHASE);
SAME(xact::kHasOrigin, XACT_XINFO_HAS_ORIGIN);
SAME(xact::kHasGid, XACT_XINFO_HAS_GID);
SAME(xact::kHasDroppedStats, XACT_XINFO_HAS_DROPPED_STATS);
SAME(xact::kDatabaseSize, sizeof(xl_xact_dbinfo));
SAME(xact::kInvalidationSize, sizeof(SharedInvalidationMessage));
SAME(4, sizeof(xl_xact_xinfo));
SAME(4, MinSizeOfXactSubxacts);
SAME(4, MinSizeOfXactRelfilenodes);
SAME(4, MinSizeOfXactStatsItems);
SAME(4, MinSizeOfXactInvals);
SAME(4, sizeof(xl_xact_twophase));
SAME(8, offsetof(xl_xact_origin, origin_timestamp));
SAME(8, MinSizeOfXactCommit);
SAME(8, MinSizeOfXactAbort);
SAME(sizeof(RelFileNode), sizeof(::RelFileNode));
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
SAME_FIELD(smgr::Create, rel, xl_smgr_create, rnode);
SAME_FIELD(smgr::Create, fork, xl_smgr_create, forkNum);
SAME(sizeof(smgr::Truncate), sizeof(xl_smgr_truncate));
SAME_FIELD(smgr::Truncate, blocks, xl_smgr_truncate, blkno);
SAME_FIELD(smgr::Truncate, rel, xl_smgr_truncate, rnode);
SAME_FIELD(smgr::Truncate, flags, xl_smgr_truncate, flags);
SAME(+kMainFork, +MAIN_FORKNUM);
SAME(+kFreeSpaceMapFork, +FSM_FORKNUM);
SAME(+kVisibilityMapFork, +VISIBILITYMAP_FORKNUM);
SAME(+kInitFork, +INIT_FORKNUM);

// CLOG, CommitTs
SAME(clog::kZeroPage, CLOG_ZEROPAGE);
SAME(clog::kTruncate, CLOG_TRUNCATE);
SAME(sizeof(clog::Truncate), sizeof(xl_clog_truncate));
SAME_FIELD(clog::Truncate, page, xl_clog_truncate, pageno);
SAME_FIELD(clog::Truncate, oldest_xid, xl_clog_truncate, oldestXact);
SAME_FIELD(clog::Truncate, oldest_xid_database, xl_clog_truncate, oldestXactDb);
SAME(commit_ts::kZeroPage, COMMIT_TS_ZEROPAGE);
SAME(commit_ts::kTruncate, COMMIT_TS_TRUNCATE);
SAME(sizeof(commit_ts::Truncate), SizeOfCommitTsTruncate);
SAME_FIELD(commit_ts::Truncate, page, xl_commit_ts_truncate, pageno);
SAME_FIELD(commit_ts::Truncate, oldest_xid, xl_commit_ts_truncate, oldestXid);
SAME(kFirstNormalXid, FirstNormalTransactionId);
SAME(kSlruPagesPerSegment, SLRU_PAGES_PER_SEGMENT);

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
SAME(heap2::kPrune, XLOG_HEAP2_PRUNE);
SAME(heap2::kPruneRedirected, offsetof(xl_heap_prune, nredirected));
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
SAME(heap2::kVacuum, XLOG_HEAP2_VACUUM);
SAME(heap2::kFreezePage, XLOG_HEAP2_FREEZE_PAGE);
SAME(heap2::kVisible, XLOG_HEAP2_VISIBLE);
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
SAME(gist::kAssignLsn, XLOG_GIST_ASSIGN_LSN);

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
}  // namespace neon_redo::layout

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

// The row of this server's version
constexpr const pg::Version& kServer = *pg::FindVersionByMajor(PG_VERSION_NUM / 10000);
constexpr bool AreEqual(const char* a, const char* b) {
  while (*a != 0 && *a == *b) ++a, ++b;
  return *a == *b;
}
SAME(kServer.wal_magic, XLOG_PAGE_MAGIC);
SAME(kServer.control_version, PG_CONTROL_VERSION);
SAME(kServer.catalog_version, CATALOG_VERSION_NO);
static_assert(AreEqual(kServer.tablespace_directory, TABLESPACE_VERSION_DIRECTORY));
SAME(pg::FindVersionByWalMagic(XLOG_PAGE_MAGIC), &kServer);
SAME(pg::FindVersionByControlFile(PG_CONTROL_VERSION, CATALOG_VERSION_NO), &kServer);
SAME(kServer.dropped_stats_item_size, sizeof(xl_xact_stats_item));
SAME(kServer.visibility_flags, VISIBILITYMAP_VALID_BITS);
SAME(kServer.gist_delete_offsets, SizeOfGistxlogDelete);
SAME(kServer.hash_vacuum_count_size, sizeof(xl_hash_vacuum_one_page::ntuples));
// MAX_MAPPINGS (utils/cache/relmapper.c) is private; the record says how long a map is, and
// ingest compares.

// The control file
constexpr const pg::ControlFileLayout& kControl = kServer.control_file;
SAME(kControl.size, sizeof(ControlFileData));
SAME(kControl.crc, offsetof(ControlFileData, crc));
SAME(kControl.track_commit_timestamp, offsetof(ControlFileData, track_commit_timestamp));
SAME(kControl.track_commit_timestamp - 24, offsetof(ControlFileData, wal_log_hints));
SAME(kControl.max_align, offsetof(ControlFileData, maxAlign));
SAME(kControl.max_align + 4, offsetof(ControlFileData, floatFormat));
SAME(kControl.max_align + 12, offsetof(ControlFileData, blcksz));
SAME(kControl.max_align + 16, offsetof(ControlFileData, relseg_size));
SAME(kControl.wal_block_size, offsetof(ControlFileData, xlog_blcksz));
SAME(kControl.wal_block_size + 4, offsetof(ControlFileData, xlog_seg_size));
SAME(kControl.wal_block_size + 8, offsetof(ControlFileData, nameDataLen));
SAME(kControl.wal_block_size + 12, offsetof(ControlFileData, indexMaxKeys));
SAME(kControl.wal_block_size + 16, offsetof(ControlFileData, toast_max_chunk_size));
SAME(kControl.wal_block_size + 20, offsetof(ControlFileData, loblksize));
SAME(kControl.float8_by_value, offsetof(ControlFileData, float8ByVal));
SAME(kControl.checksum_version, offsetof(ControlFileData, data_checksum_version));
SAME(0, offsetof(ControlFileData, system_identifier));
SAME(8, offsetof(ControlFileData, pg_control_version));
SAME(12, offsetof(ControlFileData, catalog_version_no));
SAME(16, offsetof(ControlFileData, state));
SAME(32, offsetof(ControlFileData, checkPoint));
SAME(40, offsetof(ControlFileData, checkPointCopy));

// Checkpoints
constexpr const pg::CheckPointLayout& kCheckPoint = kServer.checkpoint;
SAME(0, offsetof(CheckPoint, redo));
SAME(8, offsetof(CheckPoint, ThisTimeLineID));
SAME(12, offsetof(CheckPoint, PrevTimeLineID));
SAME(kCheckPoint.full_page_writes, offsetof(CheckPoint, fullPageWrites));
SAME(kCheckPoint.next_xid, offsetof(CheckPoint, nextXid));
SAME(kCheckPoint.next_oid, offsetof(CheckPoint, nextOid));
SAME(kCheckPoint.next_multixact, offsetof(CheckPoint, nextMulti));
SAME(kCheckPoint.next_multixact_offset, offsetof(CheckPoint, nextMultiOffset));
SAME(kCheckPoint.oldest_xid, offsetof(CheckPoint, oldestXid));
SAME(kCheckPoint.oldest_xid + 4, offsetof(CheckPoint, oldestXidDB));
SAME(kCheckPoint.oldest_multixact, offsetof(CheckPoint, oldestMulti));
SAME(kCheckPoint.oldest_multixact + 4, offsetof(CheckPoint, oldestMultiDB));
SAME(kCheckPoint.oldest_commit_ts_xid, offsetof(CheckPoint, oldestCommitTsXid));
SAME(kCheckPoint.oldest_commit_ts_xid + 4, offsetof(CheckPoint, newestCommitTsXid));
SAME(kCheckPoint.oldest_active_xid, offsetof(CheckPoint, oldestActiveXid));
SAME(kCheckPoint.size, offsetof(CheckPoint, oldestActiveXid) + 4);

// WAL pages
SAME(kWalPageSize, XLOG_BLCKSZ);
SAME(kShortPageHeaderSize, SizeOfXLogShortPHD);
SAME(kLongPageHeaderSize, SizeOfXLogLongPHD);
SAME_FIELD(WalPageHeader, magic, XLogPageHeaderData, xlp_magic);
SAME_FIELD(WalPageHeader, info, XLogPageHeaderData, xlp_info);
SAME_FIELD(WalPageHeader, timeline, XLogPageHeaderData, xlp_tli);
SAME_FIELD(WalPageHeader, address, XLogPageHeaderData, xlp_pageaddr);
SAME_FIELD(WalPageHeader, remaining, XLogPageHeaderData, xlp_rem_len);
SAME(kShortPageHeaderSize + offsetof(WalLongPageHeader, system_identifier),
     offsetof(XLogLongPageHeaderData, xlp_sysid));
SAME(kShortPageHeaderSize + offsetof(WalLongPageHeader, segment_size),
     offsetof(XLogLongPageHeaderData, xlp_seg_size));
SAME(kShortPageHeaderSize + offsetof(WalLongPageHeader, page_size),
     offsetof(XLogLongPageHeaderData, xlp_xlog_blcksz));
SAME(kPageFirstIsContrecord, XLP_FIRST_IS_CONTRECORD);
SAME(kPageLongHeader, XLP_LONG_HEADER);
SAME(kPageBackupRemovable, XLP_BKP_REMOVABLE);
SAME(kPageFirstIsOverwriteContrecord, XLP_FIRST_IS_OVERWRITE_CONTRECORD);
SAME(kPageAllFlags, XLP_ALL_FLAGS);

// WAL records
SAME(kRecordHeaderSize, SizeOfXLogRecord);
SAME_FIELD(RecordHeader, total_length, XLogRecord, xl_tot_len);
SAME_FIELD(RecordHeader, xid, XLogRecord, xl_xid);
SAME_FIELD(RecordHeader, prev_lsn, XLogRecord, xl_prev);
SAME_FIELD(RecordHeader, info, XLogRecord, xl_info);
SAME_FIELD(RecordHeader, rmid, XLogRecord, xl_rmid);
SAME_FIELD(RecordHeader, crc, XLogRecord, xl_crc);
SAME(kInfoRmgrMask, XLR_RMGR_INFO_MASK);
SAME(kInfoCheckConsistency, XLR_CHECK_CONSISTENCY);
SAME(kMaxBlockId, XLR_MAX_BLOCK_ID);
SAME(kFragmentDataShort, XLR_BLOCK_ID_DATA_SHORT);
SAME(kFragmentDataLong, XLR_BLOCK_ID_DATA_LONG);
SAME(kFragmentOrigin, XLR_BLOCK_ID_ORIGIN);
SAME(kFragmentToplevelXid, XLR_BLOCK_ID_TOPLEVEL_XID);
SAME(kBlockForkMask, BKPBLOCK_FORK_MASK);
SAME(kBlockHasImage, BKPBLOCK_HAS_IMAGE);
SAME(kBlockHasData, BKPBLOCK_HAS_DATA);
SAME(kBlockWillInit, BKPBLOCK_WILL_INIT);
SAME(kBlockSameRel, BKPBLOCK_SAME_REL);
SAME(kImageHasHole, BKPIMAGE_HAS_HOLE);
SAME(kImageApply, BKPIMAGE_APPLY);
SAME(kImagePglz, BKPIMAGE_COMPRESS_PGLZ);
SAME(kImageLz4, BKPIMAGE_COMPRESS_LZ4);
SAME(kImageZstd, BKPIMAGE_COMPRESS_ZSTD);

// Pages
SAME(kBlockSize, BLCKSZ);
SAME(kPageHeaderSize, SizeOfPageHeaderData);
SAME(kPageLayoutVersion, PG_PAGE_LAYOUT_VERSION);
SAME(0, offsetof(PageHeaderData, pd_lsn));
SAME(kPageChecksumAt, offsetof(PageHeaderData, pd_checksum));
SAME(kPageFlagsAt, offsetof(PageHeaderData, pd_flags));
SAME(kPageLowerAt, offsetof(PageHeaderData, pd_lower));
SAME(kPageUpperAt, offsetof(PageHeaderData, pd_upper));
SAME(kPageSpecialAt, offsetof(PageHeaderData, pd_special));
SAME(kPageSizeAndVersionAt, offsetof(PageHeaderData, pd_pagesize_version));
SAME(kPagePruneXidAt, offsetof(PageHeaderData, pd_prune_xid));
SAME(kPdHasFreeLines, PD_HAS_FREE_LINES);
SAME(kPdPageFull, PD_PAGE_FULL);
SAME(kPdAllVisible, PD_ALL_VISIBLE);
SAME(kLinePointerSize, sizeof(ItemIdData));
SAME(kLpUnused, LP_UNUSED);
SAME(kLpNormal, LP_NORMAL);
SAME(kLpRedirect, LP_REDIRECT);
SAME(kLpDead, LP_DEAD);
SAME(pg::kItemPointerSize, sizeof(ItemPointerData));

// Heap tuples
namespace tuple = pg::tuple;
SAME(tuple::kTupleHeaderSize, SizeofHeapTupleHeader);
SAME(tuple::kMaxTupleSize, MaxHeapTupleSize);
SAME(tuple::kMaxHeapTuples, MaxHeapTuplesPerPage);
SAME(tuple::kXmin, offsetof(HeapTupleHeaderData, t_choice.t_heap.t_xmin));
SAME(tuple::kXmax, offsetof(HeapTupleHeaderData, t_choice.t_heap.t_xmax));
SAME(tuple::kCid, offsetof(HeapTupleHeaderData, t_choice.t_heap.t_field3));
SAME(tuple::kCtid, offsetof(HeapTupleHeaderData, t_ctid));
SAME(tuple::kInfomask2, offsetof(HeapTupleHeaderData, t_infomask2));
SAME(tuple::kInfomask, offsetof(HeapTupleHeaderData, t_infomask));
SAME(tuple::kHoff, offsetof(HeapTupleHeaderData, t_hoff));
SAME(tuple::kXmaxKeyShareLock, HEAP_XMAX_KEYSHR_LOCK);
SAME(tuple::kComboCid, HEAP_COMBOCID);
SAME(tuple::kXmaxExclusiveLock, HEAP_XMAX_EXCL_LOCK);
SAME(tuple::kXmaxLockOnly, HEAP_XMAX_LOCK_ONLY);
SAME(tuple::kXminFrozen, HEAP_XMIN_FROZEN);
SAME(tuple::kXmaxCommitted, HEAP_XMAX_COMMITTED);
SAME(tuple::kXmaxInvalid, HEAP_XMAX_INVALID);
SAME(tuple::kXmaxIsMulti, HEAP_XMAX_IS_MULTI);
SAME(tuple::kMoved, HEAP_MOVED);
SAME(tuple::kXactMask, HEAP_XACT_MASK);
SAME(tuple::kLockMask, HEAP_LOCK_MASK);
SAME(tuple::kXmaxBits, HEAP_XMAX_BITS);
SAME(tuple::kKeysUpdated, HEAP_KEYS_UPDATED);
SAME(tuple::kHotUpdated, HEAP_HOT_UPDATED);
SAME(tuple::kSpeculativeToken, SpecTokenOffsetNumber);
SAME(tuple::kMovedPartitions, MovedPartitionsOffsetNumber);
SAME(tuple::kStoredHeaderSize, SizeOfHeapHeader);
SAME(2 + tuple::kStoredHeaderSize, SizeOfMultiInsertTuple);
SAME(tuple::kStoredXmaxIsMulti, XLHL_XMAX_IS_MULTI);
SAME(tuple::kStoredXmaxLockOnly, XLHL_XMAX_LOCK_ONLY);
SAME(tuple::kStoredXmaxExclusiveLock, XLHL_XMAX_EXCL_LOCK);
SAME(tuple::kStoredXmaxKeyShareLock, XLHL_XMAX_KEYSHR_LOCK);
SAME(tuple::kStoredKeysUpdated, XLHL_KEYS_UPDATED);

// Index tuples
SAME(pg::kMaxIndexTuples, MaxIndexTuplesPerPage);
SAME(pg::kIndexTupleHeaderSize, sizeof(IndexTupleData));
SAME(pg::kIndexTupleInfoAt, offsetof(IndexTupleData, t_info));
SAME(pg::kIndexSizeMask, INDEX_SIZE_MASK);
SAME(pg::kIndexAltTid, INDEX_ALT_TID_MASK);
SAME(pg::kBtreeIsPosting, BT_IS_POSTING);
SAME(pg::kBtreeCountMask, BT_OFFSET_MASK);

// Special areas
SAME(pg::btree::kSpecialSize, sizeof(BTPageOpaqueData));
SAME(pg::btree::kPrev, offsetof(BTPageOpaqueData, btpo_prev));
SAME(pg::btree::kNext, offsetof(BTPageOpaqueData, btpo_next));
SAME(pg::btree::kLevel, offsetof(BTPageOpaqueData, btpo_level));
SAME(pg::btree::kFlags, offsetof(BTPageOpaqueData, btpo_flags));
SAME(pg::btree::kCycleId, offsetof(BTPageOpaqueData, btpo_cycleid));
SAME(pg::btree::kLeaf, BTP_LEAF);
SAME(pg::btree::kRoot, BTP_ROOT);
SAME(pg::btree::kDeleted, BTP_DELETED);
SAME(pg::btree::kMeta, BTP_META);
SAME(pg::btree::kHalfDead, BTP_HALF_DEAD);
SAME(pg::btree::kSplitEnd, BTP_SPLIT_END);
SAME(pg::btree::kHasGarbage, BTP_HAS_GARBAGE);
SAME(pg::btree::kIncompleteSplit, BTP_INCOMPLETE_SPLIT);
SAME(pg::btree::kHasFullXid, BTP_HAS_FULLXID);
SAME(pg::btree::kMaxCycleId, MAX_BT_CYCLE_ID);
SAME(pg::hash::kSpecialSize, sizeof(HashPageOpaqueData));
SAME(pg::hash::kFlags, offsetof(HashPageOpaqueData, hasho_flag));
SAME(pg::hash::kOverflowPage, LH_OVERFLOW_PAGE);
SAME(pg::hash::kBucketPage, LH_BUCKET_PAGE);
SAME(pg::hash::kPageTypes, LH_PAGE_TYPE);
SAME(pg::hash::kHasDeadTuples, LH_PAGE_HAS_DEAD_TUPLES);
SAME(pg::hash::kPageId, HASHO_PAGE_ID);
SAME(pg::hash::kMetaTupleCount, offsetof(HashMetaPageData, hashm_ntuples));
SAME(pg::gin::kSpecialSize, sizeof(GinPageOpaqueData));
SAME(pg::gin::kRightLink, offsetof(GinPageOpaqueData, rightlink));
SAME(pg::gin::kMaxOffset, offsetof(GinPageOpaqueData, maxoff));
SAME(pg::gin::kFlags, offsetof(GinPageOpaqueData, flags));
SAME(pg::gin::kData, GIN_DATA);
SAME(pg::gin::kLeaf, GIN_LEAF);
SAME(pg::gin::kDeleted, GIN_DELETED);
SAME(pg::gin::kMeta, GIN_META);
SAME(pg::gin::kList, GIN_LIST);
SAME(pg::gin::kListFullRow, GIN_LIST_FULLROW);
SAME(pg::gin::kIncompleteSplit, GIN_INCOMPLETE_SPLIT);
SAME(pg::gin::kCompressed, GIN_COMPRESSED);
SAME(pg::gin::kMetaSize, sizeof(GinMetaPageData));
SAME(pg::gist::kSpecialSize, sizeof(GISTPageOpaqueData));
SAME(pg::gist::kNsn, offsetof(GISTPageOpaqueData, nsn));
SAME(pg::gist::kRightLink, offsetof(GISTPageOpaqueData, rightlink));
SAME(pg::gist::kFlags, offsetof(GISTPageOpaqueData, flags));
SAME(pg::gist::kPageIdField, offsetof(GISTPageOpaqueData, gist_page_id));
SAME(pg::gist::kLeaf, F_LEAF);
SAME(pg::gist::kDeleted, F_DELETED);
SAME(pg::gist::kFollowRight, F_FOLLOW_RIGHT);
SAME(pg::gist::kHasGarbage, F_HAS_GARBAGE);
SAME(pg::gist::kPageId, GIST_PAGE_ID);
SAME(pg::spgist::kSpecialSize, sizeof(SpGistPageOpaqueData));
SAME(pg::spgist::kFlags, offsetof(SpGistPageOpaqueData, flags));
SAME(pg::spgist::kPlaceholders, offsetof(SpGistPageOpaqueData, nPlaceholder));
SAME(pg::spgist::kPageIdField, offsetof(SpGistPageOpaqueData, spgist_page_id));
SAME(pg::spgist::kLeafPage, SPGIST_LEAF);
SAME(pg::spgist::kNullsPage, SPGIST_NULLS);
SAME(pg::spgist::kPageId, SPGIST_PAGE_ID);
SAME(pg::spgist::kMetaMagic, SPGIST_MAGIC_NUMBER);
SAME(pg::spgist::kLastUsedPagesAt, offsetof(SpGistMetaPageData, lastUsedPages));
SAME(pg::spgist::kLastUsedPagesSize, sizeof(SpGistLUPCache));
SAME(pg::brin::kSpecialSize, sizeof(BrinSpecialSpace));
SAME(pg::brin::kEvacuate, BRIN_EVACUATE_PAGE);
SAME(pg::brin::kMetaPage, BRIN_PAGETYPE_META);
SAME(pg::brin::kRevmapPage, BRIN_PAGETYPE_REVMAP);
SAME(pg::brin::kRegularPage, BRIN_PAGETYPE_REGULAR);
SAME(pg::brin::kMetaMagic, BRIN_META_MAGIC);
SAME(pg::brin::kMetaSize, sizeof(BrinMetaPageData));
SAME(pg::sequence::kTupleDataSize, offsetof(FormData_pg_sequence_data, is_called) + 1);

// The visibility map. The arithmetic is private to access/heap/visibilitymap.c.
SAME(kAllVisibleBit, VISIBILITYMAP_ALL_VISIBLE);
SAME(kAllFrozenBit, VISIBILITYMAP_ALL_FROZEN);
SAME(kMapBytesOnPage, BLCKSZ - MAXALIGN(SizeOfPageHeaderData));
SAME(kHeapBlocksInMapByte* BITS_PER_HEAPBLOCK, BITS_PER_BYTE);

// SLRUs. The entries on a page are private to clog.c, multixact.c and commit_ts.c.
SAME(kXactCommitted, TRANSACTION_STATUS_COMMITTED);
SAME(kXactAborted, TRANSACTION_STATUS_ABORTED);
SAME(kOffsetEntrySize, sizeof(MultiXactOffset));
SAME(kMaxMemberStatus, +MaxMultiXactStatus);

// Files
SAME(pg::kDefaultTablespace, DEFAULTTABLESPACE_OID);
SAME(pg::kGlobalTablespace, GLOBALTABLESPACE_OID);
SAME(pg::kBlocksPerFile, RELSEG_SIZE);
SAME(kMaxForkNumber, +MAX_FORKNUM);

}  // namespace
}  // namespace neon_redo
