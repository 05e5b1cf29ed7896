// What differs between PostgreSQL's major versions: one row of a table for each version that this
// project reads and writes. Whatever a format leaves open is in the row, and code that depends on
// it takes the row. There is no default row: the version comes from the magic number of WAL pages,
// from the control file or from PG_VERSION, and is passed on.
//
// A Version is a constexpr object that lives as long as the program, so a reference or pointer to
// it is never stale. Freestanding but for ParseVersionFile and what is below it.
#ifndef NEON_REDO_PG_VERSION_H_
#define NEON_REDO_PG_VERSION_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/rmgr.h"

namespace neon_redo::pg {

// Offsets of ControlFileData (catalog/pg_control.h). The fields before these are the same in all
// versions: see control_file.cpp.
struct ControlFileLayout {
  uint32_t size;  // sizeof(ControlFileData); the file is padded to kControlFileSize
  uint32_t crc;
  uint32_t track_commit_timestamp;
  uint32_t max_align;        // and floatFormat 4, blcksz 12, relseg_size 16 bytes after it
  uint32_t wal_block_size;   // and 4 bytes apart the five after it, up to loblksize
  uint32_t float8_by_value;  // a bool
  uint32_t checksum_version;
};

// Offsets of CheckPoint (catalog/pg_control.h). `redo` and the two timelines are the same in all
// versions.
struct CheckPointLayout {
  uint32_t size;  // up to the last field
  uint32_t full_page_writes;
  uint32_t wal_level;  // 0: the version has no such field
  uint32_t next_xid;
  uint32_t next_oid;
  uint32_t next_multixact;
  uint32_t next_multixact_offset;
  uint32_t oldest_xid;  // and its database 4 bytes after it
  uint32_t oldest_multixact;
  uint32_t oldest_commit_ts_xid;  // and newestCommitTsXid 4 bytes after it
  uint32_t oldest_active_xid;
};

// What Heap2's operations 0x10, 0x20 and 0x30 are.
enum class HeapCleanup : uint8_t {
  kPruneVacuumFreeze,  // PRUNE, VACUUM and FREEZE_PAGE with a plan for each tuple
  kPruneVacuumPlans,   // the same with a plan for many tuples, and a flag for catalogs in PRUNE
  kPruneFreeze,        // one record with three names, flags of one byte (xl_heap_prune)
  kPruneFreezeMap,     // flags of two bytes, and perhaps the page of the visibility map
};

// The major version whose pg_waldump has the words for this version's records. Later values are of
// later versions.
enum class WaldumpText : uint8_t { k15, k16, k17, k18, k19 };

// What a major version has for each built-in resource manager: a bit for each value of the high
// four bits of xl_info that is an operation.
struct OperationTable {
  uint16_t of[kMaxBuiltinRmgr + 1];

  constexpr OperationTable With(RmgrId rmid, uint8_t operation) const {
    OperationTable out = *this;
    out.of[rmid] = static_cast<uint16_t>(out.of[rmid] | 1 << (operation >> 4));
    return out;
  }
  constexpr OperationTable Without(RmgrId rmid, uint8_t operation) const {
    OperationTable out = *this;
    out.of[rmid] = static_cast<uint16_t>(out.of[rmid] & ~(1 << (operation >> 4)));
    return out;
  }
};

struct Version {
  int major;
  // False: the row is made from facts that were read and no server of the version was there to try it
  // with, or the version is not released. It is refused unless asked for (pg/tested_version.h).
  bool is_tested;
  uint16_t wal_magic;                // XLOG_PAGE_MAGIC
  uint16_t wal_page_flags;           // XLP_ALL_FLAGS
  uint16_t overwrite_contrecord;     // XLP_FIRST_IS_OVERWRITE_CONTRECORD, one of these
  uint32_t control_version;          // PG_CONTROL_VERSION
  uint32_t catalog_version;          // CATALOG_VERSION_NO
  const char* tablespace_directory;  // TABLESPACE_VERSION_DIRECTORY
  ControlFileLayout control_file;
  CheckPointLayout checkpoint;
  uint32_t relation_map_size;        // sizeof(RelMapFile)
  uint32_t class_persistence;        // offset of relpersistence in pg_class's rows; relkind is next
  uint32_t dropped_stats_item_size;  // sizeof(xl_xact_stats_item)
  uint32_t slru_page_number_size;    // in records that zero or truncate pages of pg_xact and others
  uint32_t end_of_recovery_size;     // sizeof(xl_end_of_recovery)
  bool two_phase_names_have_epoch;   // the names of the files in pg_twophase
  int manifest_version;              // PostgreSQL-Backup-Manifest-Version
  uint32_t largest_record;           // bytes
  uint32_t multixact_offset_size;    // sizeof(MultiXactOffset), also in pg_multixact/offsets
  // False: WAL is read, and its pages are rebuilt by workers. Clusters, base backups and multixacts
  // are refused, and the native engine has no part in it.
  bool is_complete;
  bool worker_needs_notify;  // a worker's start looks into the directory pg_notify
  HeapCleanup heap_cleanup;
  uint8_t visibility_flags;           // that a Heap2 VISIBLE record may have
  bool btree_vacuum_clears_cycle_id;  // redo of a Btree VACUUM record
  uint32_t gist_delete_offsets;       // in the main data of a Gist DELETE record
  bool gist_delete_may_lack_offsets;  // redo of such a record
  uint32_t hash_vacuum_count_size;    // of ntuples in xl_hash_vacuum_one_page
  bool hash_squeeze_always_stamps;    // redo of a Hash SQUEEZE_PAGE record that moves no tuples
  bool all_visible_makes_dirty;       // the server, before it logs a Heap2 VISIBLE record
  uint32_t spgist_redirect_offsets;   // in the main data of a SPGist VACUUM_REDIRECT record
  WaldumpText text;
  OperationTable operations;

  bool HasOperation(uint8_t rmid, uint8_t info) const {
    return rmid <= kMaxBuiltinRmgr && (operations.of[rmid] >> (info >> 4) & 1) != 0;
  }
};

namespace detail {

// Bits for these operations.
constexpr uint16_t Operations(std::initializer_list<uint8_t> operations) {
  uint16_t bits = 0;
  for (const uint8_t operation : operations)
    bits = static_cast<uint16_t>(bits | 1 << (operation >> 4));
  return bits;
}
// Bits for these operations, each with and without the flag 0x80.
constexpr uint16_t OperationsWithFlag(std::initializer_list<uint8_t> operations) {
  const uint16_t bits = Operations(operations);
  return static_cast<uint16_t>(bits | bits << 8);
}

inline constexpr OperationTable kOperations15 = {{
    /* XLOG */ Operations({layout::xlog::kCheckpointShutdown, layout::xlog::kCheckpointOnline,
                           layout::xlog::kNoop, layout::xlog::kNextOid, layout::xlog::kSwitch,
                           layout::xlog::kBackupEnd, layout::xlog::kParameterChange,
                           layout::xlog::kRestorePoint, layout::xlog::kFpwChange,
                           layout::xlog::kEndOfRecovery, layout::xlog::kFpiForHint,
                           layout::xlog::kFpi, layout::xlog::kOverwriteContrecord}),
    /* Transaction */
    OperationsWithFlag({layout::xact::kCommit, layout::xact::kPrepare, layout::xact::kAbort,
                        layout::xact::kCommitPrepared, layout::xact::kAbortPrepared,
                        layout::xact::kAssignment, layout::xact::kInvalidations}),
    /* Storage */
    Operations({layout::smgr::kCreate, layout::smgr::kTruncate}),
    /* CLOG */
    Operations({layout::clog::kZeroPage, layout::clog::kTruncate}),
    /* Database */
    Operations(
        {layout::dbase::kCreateFileCopy, layout::dbase::kCreateWalLog, layout::dbase::kDrop}),
    /* Tablespace */
    Operations({layout::tblspc::kCreate, layout::tblspc::kDrop}),
    /* MultiXact */
    Operations({layout::multixact::kZeroOffsetsPage, layout::multixact::kZeroMembersPage,
                layout::multixact::kCreateId, layout::multixact::kTruncateId}),
    /* RelMap */ Operations({layout::relmap::kUpdate}),
    /* Standby */
    Operations(
        {layout::standby::kLock, layout::standby::kRunningXacts, layout::standby::kInvalidations}),
    /* Heap2 */
    OperationsWithFlag({layout::heap2::kRewrite, layout::heap2::kPrune, layout::heap2::kVacuum,
                        layout::heap2::kFreezePage, layout::heap2::kVisible,
                        layout::heap2::kMultiInsert, layout::heap2::kLockUpdated,
                        layout::heap2::kNewCid}),
    /* Heap */
    OperationsWithFlag({layout::heap::kInsert, layout::heap::kDelete, layout::heap::kUpdate,
                        layout::heap::kTruncate, layout::heap::kHotUpdate, layout::heap::kConfirm,
                        layout::heap::kLock, layout::heap::kInplace}),
    /* Btree */
    Operations({layout::btree::kInsertLeaf, layout::btree::kInsertUpper, layout::btree::kInsertMeta,
                layout::btree::kSplitLeft, layout::btree::kSplitRight, layout::btree::kInsertPost,
                layout::btree::kDedup, layout::btree::kDelete, layout::btree::kUnlinkPage,
                layout::btree::kUnlinkPageMeta, layout::btree::kNewRoot,
                layout::btree::kMarkPageHalfDead, layout::btree::kVacuum, layout::btree::kReusePage,
                layout::btree::kMetaCleanup}),
    /* Hash */
    Operations({layout::hash::kInitMetaPage, layout::hash::kInitBitmapPage, layout::hash::kInsert,
                layout::hash::kAddOverflowPage, layout::hash::kSplitAllocatePage,
                layout::hash::kSplitPage, layout::hash::kSplitComplete,
                layout::hash::kMovePageContents, layout::hash::kSqueezePage, layout::hash::kDelete,
                layout::hash::kSplitCleanup, layout::hash::kUpdateMetaPage,
                layout::hash::kVacuumOnePage}),
    /* Gin */
    Operations({layout::gin::kCreatePostingTree, layout::gin::kInsert, layout::gin::kSplit,
                layout::gin::kVacuumPage, layout::gin::kDeletePage, layout::gin::kUpdateMetaPage,
                layout::gin::kInsertListPage, layout::gin::kDeleteListPage,
                layout::gin::kVacuumDataLeafPage}),
    /* Gist */
    Operations({layout::gist::kPageUpdate, layout::gist::kDelete, layout::gist::kPageReuse,
                layout::gist::kPageSplit, layout::gist::kPageDelete, layout::gist::kAssignLsn}),
    /* Sequence */ Operations({layout::seq::kLog}),
    /* SPGist */
    Operations({layout::spgist::kAddLeaf, layout::spgist::kMoveLeafs, layout::spgist::kAddNode,
                layout::spgist::kSplitTuple, layout::spgist::kPickSplit,
                layout::spgist::kVacuumLeaf, layout::spgist::kVacuumRoot,
                layout::spgist::kVacuumRedirect}),
    /* BRIN */
    OperationsWithFlag({layout::brin::kCreateIndex, layout::brin::kInsert, layout::brin::kUpdate,
                        layout::brin::kSamepageUpdate, layout::brin::kRevmapExtend,
                        layout::brin::kDesummarize}),
    /* CommitTs */
    Operations({layout::commit_ts::kZeroPage, layout::commit_ts::kTruncate}),
    /* ReplicationOrigin */
    Operations({layout::repl_origin::kSet, layout::repl_origin::kDrop}),
    /* Generic */ Operations({layout::generic::kPages}),
    /* LogicalMessage */ Operations({layout::logical_message::kMessage}),
}};

inline constexpr Version kVersion15 = {
    .major = 15,
    .is_tested = true,
    .wal_magic = 0xD110,
    .wal_page_flags = 0x000f,
    .overwrite_contrecord = 0x0008,
    .control_version = 1300,
    .catalog_version = 202209061,
    .tablespace_directory = "PG_15_202209061",
    .control_file = {.size = 296,
                     .crc = 288,
                     .track_commit_timestamp = 200,
                     .max_align = 204,
                     .wal_block_size = 224,
                     .float8_by_value = 248,
                     .checksum_version = 252},
    .checkpoint = {.size = 84,
                   .full_page_writes = 16,
                   .wal_level = 0,
                   .next_xid = 24,
                   .next_oid = 32,
                   .next_multixact = 36,
                   .next_multixact_offset = 40,
                   .oldest_xid = 44,
                   .oldest_multixact = 52,
                   .oldest_commit_ts_xid = 72,
                   .oldest_active_xid = 80},
    .relation_map_size = 512,
    .class_persistence = 114,
    .dropped_stats_item_size = 12,
    .slru_page_number_size = 4,
    .end_of_recovery_size = 16,
    .two_phase_names_have_epoch = false,
    .manifest_version = 1,
    .largest_record = 0x3fffffff,  // MaxAllocSize
    .multixact_offset_size = 4,
    .is_complete = true,
    .worker_needs_notify = false,
    .heap_cleanup = HeapCleanup::kPruneVacuumFreeze,
    .visibility_flags = 0x03,
    .btree_vacuum_clears_cycle_id = false,
    .gist_delete_offsets = 6,
    .gist_delete_may_lack_offsets = true,
    .hash_vacuum_count_size = 4,
    .hash_squeeze_always_stamps = true,
    .all_visible_makes_dirty = true,
    .spgist_redirect_offsets = 8,
    .text = WaldumpText::k15,
    .operations = kOperations15,
};

// A later version is the one before it and what changed.
constexpr Version MakeVersion16() {
  Version v = kVersion15;
  v.major = 16;
  v.is_tested = false;
  v.wal_magic = 0xD113;
  v.catalog_version = 202307071;
  v.tablespace_directory = "PG_16_202307071";
  v.relation_map_size = 524;
  v.largest_record = 1020u << 20;  // XLogRecordMaxSize
  v.heap_cleanup = HeapCleanup::kPruneVacuumPlans;
  v.visibility_flags = 0x07;  // and VISIBILITYMAP_XLOG_CATALOG_REL
  v.gist_delete_offsets = 8;
  v.gist_delete_may_lack_offsets = false;
  v.hash_vacuum_count_size = 2;
  v.all_visible_makes_dirty = false;
  v.spgist_redirect_offsets = 10;
  v.text = WaldumpText::k16;
  return v;
}

constexpr Version MakeVersion17() {
  Version v = MakeVersion16();
  v.major = 17;
  v.is_tested = true;
  v.wal_magic = 0xD116;
  v.control_version = 1700;
  v.catalog_version = 202406281;
  v.tablespace_directory = "PG_17_202406281";
  v.checkpoint.wal_level = 20;
  v.slru_page_number_size = 8;
  v.end_of_recovery_size = 24;
  v.two_phase_names_have_epoch = true;
  v.manifest_version = 2;
  v.hash_squeeze_always_stamps = false;
  v.heap_cleanup = HeapCleanup::kPruneFreeze;
  v.text = WaldumpText::k17;
  v.operations = v.operations.With(kRmXlog, layout::xlog::kCheckpointRedo);
  return v;
}

constexpr Version MakeVersion18() {
  Version v = MakeVersion17();
  v.major = 18;
  v.wal_magic = 0xD118;
  v.control_version = 1800;
  v.catalog_version = 202506291;
  v.tablespace_directory = "PG_18_202506291";
  v.class_persistence = 118;  // after relallfrozen
  v.control_file.crc = 292;   // after default_char_signedness
  v.dropped_stats_item_size = 16;
  v.btree_vacuum_clears_cycle_id = true;
  v.text = WaldumpText::k18;
  return v;
}

// Of 19~rc1; the catalogue's version may change until 19.0 is released.
constexpr Version MakeVersion19() {
  Version v = MakeVersion18();
  v.major = 19;
  v.is_tested = false;
  v.wal_magic = 0xD122;
  v.wal_page_flags = 0x0007;  // without XLP_BKP_REMOVABLE, whose bit another flag has
  v.overwrite_contrecord = 0x0004;
  v.control_version = 1905;
  v.catalog_version = 202610061;
  v.tablespace_directory = "PG_19_202610061";
  v.control_file = {.size = 312,
                    .crc = 308,
                    .track_commit_timestamp = 208,
                    .max_align = 212,
                    .wal_block_size = 236,  // after slru_pages_per_segment
                    .float8_by_value = 260,
                    .checksum_version = 268};
  v.checkpoint = {.size = 92,
                  .full_page_writes = 16,
                  .wal_level = 20,
                  .next_xid = 32,  // after logicalDecodingEnabled
                  .next_oid = 40,
                  .next_multixact = 44,
                  .next_multixact_offset = 48,
                  .oldest_xid = 56,
                  .oldest_multixact = 64,
                  .oldest_commit_ts_xid = 80,
                  .oldest_active_xid = 88};
  v.multixact_offset_size = 8;
  v.is_complete = false;
  v.worker_needs_notify = true;  // all of the server's shared memory is made, that of NOTIFY too
  v.heap_cleanup = HeapCleanup::kPruneFreezeMap;
  v.visibility_flags = 0;  // no VISIBLE records
  v.text = WaldumpText::k19;
  v.operations = v.operations.With(kRmXlog, layout::xlog::kAssignLsn)
                     .With(kRmXlog, layout::xlog::kLogicalDecodingChange)
                     .Without(kRmHeap2, layout::heap2::kVisible)
                     .Without(kRmHeap2, layout::heap2::kVisible | layout::heap::kInitPage)
                     .Without(kRmGist, layout::gist::kAssignLsn);
  return v;
}

}  // namespace detail

inline constexpr Version kVersions[] = {detail::kVersion15, detail::MakeVersion16(),
                                        detail::MakeVersion17(), detail::MakeVersion18(),
                                        detail::MakeVersion19()};

// Where the CRC-32C of a relation map stands, after 62 or 64 mappings of eight bytes (RelMapFile).
constexpr uint32_t RelationMapCrcAt(const Version& version) {
  return 8 + (version.relation_map_size - 12) / 8 * 8;
}

// The version that writes this XLOG_PAGE_MAGIC. Null: no supported one.
constexpr const Version* FindVersionByWalMagic(uint16_t magic) {
  for (const Version& version : kVersions) {
    if (version.wal_magic == magic) return &version;
  }
  return nullptr;
}

// The version whose control files have this PG_CONTROL_VERSION and CATALOG_VERSION_NO (two versions
// may share the first number). Null: no supported one.
constexpr const Version* FindVersionByControlFile(uint32_t control_version,
                                                  uint32_t catalog_version) {
  for (const Version& version : kVersions) {
    if (version.control_version == control_version && version.catalog_version == catalog_version)
      return &version;
  }
  return nullptr;
}

// Null: this major version is not supported.
constexpr const Version* FindVersionByMajor(int major) {
  for (const Version& version : kVersions) {
    if (version.major == major) return &version;
  }
  return nullptr;
}

// The content of the file PG_VERSION: the major version and a newline.
std::string VersionFileText(const Version& version);
// Null: the text is not that of a supported version's file.
const Version* FindVersionByVersionFile(std::string_view text);

// For messages, without versions that are not tested: "15, 17, 18".
std::string SupportedMajors();
// "D110 (PostgreSQL 15), D116 (PostgreSQL 17), D118 (PostgreSQL 18)"
std::string SupportedWalMagics();

}  // namespace neon_redo::pg

#endif  // NEON_REDO_PG_VERSION_H_
