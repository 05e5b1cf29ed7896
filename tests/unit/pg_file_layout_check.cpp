// Holds cpp_core/pg's version row, control file, checkpoints, WAL pages, WAL record headers and file
// names against the headers of the server.
extern "C" {
#include "postgres.h"
//
#include "access/gistxlog.h"
#include "access/hash_xlog.h"
#include "access/spgxlog.h"
#include "access/visibilitymapdefs.h"
#include "access/xact.h"
#include "access/xlog_internal.h"
#include "access/xlogrecord.h"
#include "catalog/catversion.h"
#include "catalog/pg_class.h"
#include "catalog/pg_control.h"
#include "catalog/pg_index.h"
#include "catalog/pg_namespace_d.h"
#include "catalog/pg_tablespace_d.h"
#include "common/relpath.h"
#include "storage/bufpage.h"
}
#include "tests/unit/pg_layout_check.h"

#include "cpp_core/pg/catalogs.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/wal_page.h"
#include "cpp_core/pg/wal_record.h"

namespace neon_redo {
namespace {

// The row of this server's version
constexpr bool AreEqual(const char* a, const char* b) {
  while (*a != 0 && *a == *b) ++a, ++b;
  return *a == *b;
}
SAME(kServer.wal_magic, XLOG_PAGE_MAGIC);
SAME(kServer.checkpoint.oldest_commit_ts_xid - 8, offsetof(CheckPoint, time));
SAME(pg::kClassOid, RelationRelationId);
SAME(pg::kIndexOid, IndexRelationId);
SAME(pg::kNamespaceOid, NamespaceRelationId);
SAME(pg::kRelNamespaceAt, offsetof(FormData_pg_class, relnamespace));
SAME(pg::kRelTablespaceAt, offsetof(FormData_pg_class, reltablespace));
SAME(kServer.class_persistence, offsetof(FormData_pg_class, relpersistence));
SAME(kServer.class_persistence - pg::kRelToastBeforePersistence,
     offsetof(FormData_pg_class, reltoastrelid));
SAME(pg::kIndexTableAt, offsetof(FormData_pg_index, indrelid));
SAME(kServer.control_version, PG_CONTROL_VERSION);
SAME(kServer.catalog_version, CATALOG_VERSION_NO);
static_assert(AreEqual(kServer.tablespace_directory, TABLESPACE_VERSION_DIRECTORY));
SAME(pg::FindVersionByWalMagic(XLOG_PAGE_MAGIC), &kServer);
SAME(pg::FindVersionByControlFile(PG_CONTROL_VERSION, CATALOG_VERSION_NO), &kServer);
SAME(kServer.dropped_stats_item_size, sizeof(xl_xact_stats_item));
#if PG_VERSION_NUM >= 190000
SAME(kServer.visibility_flags, 0);
#elif PG_VERSION_NUM >= 160000
SAME(kServer.visibility_flags, VISIBILITYMAP_XLOG_VALID_BITS);
#else
SAME(kServer.visibility_flags, VISIBILITYMAP_VALID_BITS);
#endif
SAME(kServer.gist_delete_offsets, SizeOfGistxlogDelete);
SAME(kServer.hash_vacuum_count_size, sizeof(xl_hash_vacuum_one_page::ntuples));
SAME(kServer.spgist_redirect_offsets, SizeOfSpgxlogVacuumRedirect);
#if PG_VERSION_NUM >= 160000
SAME(kServer.largest_record, XLogRecordMaxSize);
#endif
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
SAME(136, offsetof(ControlFileData, minRecoveryPoint));
SAME(144, offsetof(ControlFileData, minRecoveryPointTLI));

// Checkpoints
constexpr const pg::CheckPointLayout& kCheckPoint = kServer.checkpoint;
SAME(0, offsetof(CheckPoint, redo));
SAME(8, offsetof(CheckPoint, ThisTimeLineID));
SAME(12, offsetof(CheckPoint, PrevTimeLineID));
SAME(kCheckPoint.full_page_writes, offsetof(CheckPoint, fullPageWrites));
#if PG_VERSION_NUM >= 170000
SAME(kCheckPoint.wal_level, offsetof(CheckPoint, wal_level));
#else
SAME(kCheckPoint.wal_level, 0);
#endif
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
#if PG_VERSION_NUM < 190000
SAME(kPageBackupRemovable, XLP_BKP_REMOVABLE);
#endif
SAME(kServer.overwrite_contrecord, XLP_FIRST_IS_OVERWRITE_CONTRECORD);
SAME(kServer.wal_page_flags, XLP_ALL_FLAGS);

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

// Files
SAME(pg::kDefaultTablespace, DEFAULTTABLESPACE_OID);
SAME(pg::kGlobalTablespace, GLOBALTABLESPACE_OID);
SAME(pg::kBlocksPerFile, RELSEG_SIZE);
SAME(kMaxForkNumber, +MAX_FORKNUM);

}  // namespace
}  // namespace neon_redo
