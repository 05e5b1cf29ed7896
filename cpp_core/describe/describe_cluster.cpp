// Records about the cluster rather than a page: XLOG, Storage, Database, Tablespace, RelMap,
// ReplicationOrigin, LogicalMessage. Layouts: catalog/pg_control.h, access/xlog_internal.h,
// catalog/storage_xlog.h, commands/dbcommands_xlog.h, commands/tablespace.h, utils/relmapper.h,
// replication/origin.h, replication/message.h; wording: the files of the same subject in rmgrdesc.
#include "cpp_core/describe/operation.h"
#include "cpp_core/pg/checkpoint.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/record_layout.h"

namespace neon_redo {

namespace {

// XLOG

const char* WalLevelName(uint32_t level) {
  static constexpr const char* kNames[] = {"minimal", "replica", "logical"};
  return level < std::size(kNames) ? kNames[level] : "?";
}

void Checkpoint(Description* d, const char* kind) {
  const Bytes data = d->record.main_data();
  const pg::Version& version = d->record.version();
  const auto read = pg::ReadCheckPoint(data, version);
  if (!read) return d->in.Spoil();
  const pg::CheckPoint& c = *read;
  d->Add("redo {}; tli {}; prev tli {}; fpw {}; ", d->Text(c.redo), c.timeline, c.previous_timeline,
         c.full_page_writes);
  if (const uint32_t at = version.checkpoint.wal_level)
    d->Add("wal_level {}; ", WalLevelName(LoadNative<uint32_t>(data.data() + at)));
  if (d->Since(pg::WaldumpText::k19)) {
    constexpr size_t kLogicalDecodingEnabled = 24;
    d->Add("logical decoding {}; ", data[kLogicalDecodingEnabled] != 0);
  }
  d->Add("xid {}; oid {}; multi {}; offset {}; ", FullXid(c.next_xid), c.next_oid, c.next_multixact,
         c.next_multixact_offset);
  d->Add(
      "oldest xid {} in DB {}; oldest multi {} in DB {}; oldest/newest commit timestamp xid: "
      "{}/{}; oldest running xid {}; {}",
      c.oldest_xid, c.oldest_xid_database, c.oldest_multixact, c.oldest_multixact_database,
      c.oldest_commit_ts_xid, c.newest_commit_ts_xid, c.oldest_active_xid, kind);
}

void ShutdownCheckpoint(Description* d) { Checkpoint(d, "shutdown"); }
void OnlineCheckpoint(Description* d) { Checkpoint(d, "online"); }

void NextOid(Description* d) { d->Add("{}", d->in.Get<uint32_t>()); }

void BackupEnd(Description* d) { d->AddText(d->Text(d->in.GetLsn())); }

void ParameterChange(Description* d) {
  FieldReader& in = d->in;
  const auto connections = in.Get<int32_t>();
  const auto worker_processes = in.Get<int32_t>();
  const auto wal_senders = in.Get<int32_t>();
  const auto prepared_xacts = in.Get<int32_t>();
  const auto locks = in.Get<int32_t>();
  const auto wal_level = in.Get<uint32_t>();
  const auto log_hints = in.Get<uint8_t>();
  const auto commit_timestamp = in.Get<uint8_t>();
  d->Add(
      "max_connections={} max_worker_processes={} max_wal_senders={} max_prepared_xacts={} "
      "max_locks_per_xact={} wal_level={} wal_log_hints={} track_commit_timestamp={}",
      connections, worker_processes, wal_senders, prepared_xacts, locks, WalLevelName(wal_level),
      log_hints ? "on" : "off", commit_timestamp ? "on" : "off");
}

void RestorePoint(Description* d) {
  constexpr size_t kNameSize = 64;  // MAXFNAMELEN
  d->in.Skip(8);                    // rp_time
  d->AddText(d->in.GetString(kNameSize));
}

// Of full_page_writes, or since 19 of logical decoding.
void Switched(Description* d) { d->Add("{}", d->in.Get<uint8_t>() != 0); }

void EndOfRecovery(Description* d) {
  const auto time = d->in.Get<int64_t>();
  const auto timeline = d->in.Get<uint32_t>();
  const auto previous = d->in.Get<uint32_t>();
  d->Add("tli {}; prev tli {}; time {}", timeline, previous, TimestampText(time));
  if (d->record.version().end_of_recovery_size > sizeof(layout::xlog::EndOfRecovery))
    d->Add("; wal_level {}", WalLevelName(d->in.Get<uint32_t>()));
}

void OverwriteContrecord(Description* d) {
  const Lsn lsn = d->in.GetLsn();
  d->Add("lsn {}; time {}", d->Text(lsn), TimestampText(d->in.Get<int64_t>()));
}

void CheckpointRedo(Description* d) { d->Add("wal_level {}", WalLevelName(d->in.Get<uint32_t>())); }

constexpr Operation kXlog[] = {
    {layout::xlog::kCheckpointShutdown, "CHECKPOINT_SHUTDOWN", ShutdownCheckpoint},
    {layout::xlog::kCheckpointOnline, "CHECKPOINT_ONLINE", OnlineCheckpoint},
    {layout::xlog::kNoop, "NOOP"},
    {layout::xlog::kNextOid, "NEXTOID", NextOid},
    {layout::xlog::kSwitch, "SWITCH"},
    {layout::xlog::kBackupEnd, "BACKUP_END", BackupEnd},
    {layout::xlog::kParameterChange, "PARAMETER_CHANGE", ParameterChange},
    {layout::xlog::kRestorePoint, "RESTORE_POINT", RestorePoint},
    {layout::xlog::kFpwChange, "FPW_CHANGE", Switched},
    {layout::xlog::kEndOfRecovery, "END_OF_RECOVERY", EndOfRecovery},
    {layout::xlog::kFpiForHint, "FPI_FOR_HINT"},
    {layout::xlog::kFpi, "FPI"},
    {layout::xlog::kAssignLsn, "ASSIGN_LSN"},
    {layout::xlog::kOverwriteContrecord, "OVERWRITE_CONTRECORD", OverwriteContrecord},
    {layout::xlog::kCheckpointRedo, "CHECKPOINT_REDO", CheckpointRedo},
    {layout::xlog::kLogicalDecodingChange, "LOGICAL_DECODING_STATUS_CHANGE", Switched},
};

// Storage

void SmgrCreate(Description* d) {
  const auto rel = d->in.Get<RelFileNode>();
  const auto fork = d->in.Get<uint32_t>();
  d->AddText(pg::RelationPath(d->record.version(), rel,
                              static_cast<uint8_t>(fork <= kMaxForkNumber ? fork : UINT8_MAX)));
}

void SmgrTruncate(Description* d) {
  const auto blocks = d->in.Get<uint32_t>();
  const auto rel = d->in.Get<RelFileNode>();
  d->Add("{} to {} blocks flags {}", pg::RelationPath(d->record.version(), rel, kMainFork), blocks,
         d->in.Get<int32_t>());
}

constexpr Operation kSmgr[] = {
    {layout::smgr::kCreate, "CREATE", SmgrCreate},
    {layout::smgr::kTruncate, "TRUNCATE", SmgrTruncate},
};

// Database

void DbaseCopy(Description* d) {
  const auto db = d->in.Get<uint32_t>();
  const auto tablespace = d->in.Get<uint32_t>();
  const auto from_db = d->in.Get<uint32_t>();
  const auto from_tablespace = d->in.Get<uint32_t>();
  d->Add("copy dir {}/{} to {}/{}", from_tablespace, from_db, tablespace, db);
}

void DbaseCreate(Description* d) {
  const auto db = d->in.Get<uint32_t>();
  d->Add("create dir {}/{}", d->in.Get<uint32_t>(), db);
}

void DbaseDrop(Description* d) {
  const auto db = d->in.Get<uint32_t>();
  const auto count = d->in.Get<int32_t>();
  d->AddText("dir");
  for (int32_t i = 0; i < count; i++) {
    const auto tablespace = d->in.Get<uint32_t>();
    if (!d->in.all()) break;
    d->Add(" {}/{}", tablespace, db);
  }
}

constexpr Operation kDbase[] = {
    {layout::dbase::kCreateFileCopy, "CREATE_FILE_COPY", DbaseCopy},
    {layout::dbase::kCreateWalLog, "CREATE_WAL_LOG", DbaseCreate},
    {layout::dbase::kDrop, "DROP", DbaseDrop},
};

// Tablespace

void TblspcCreate(Description* d) {
  const auto id = d->in.Get<uint32_t>();
  d->Add("{} \"{}\"", id, d->in.GetString());
}

void TblspcDrop(Description* d) { d->Add("{}", d->in.Get<uint32_t>()); }

constexpr Operation kTblspc[] = {
    {layout::tblspc::kCreate, "CREATE", TblspcCreate},
    {layout::tblspc::kDrop, "DROP", TblspcDrop},
};

// RelMap

void RelMapUpdate(Description* d) {
  const auto db = d->in.Get<uint32_t>();
  const auto tablespace = d->in.Get<uint32_t>();
  d->Add("database {} tablespace {} size {}", db, tablespace, d->in.Get<int32_t>());
}

constexpr Operation kRelMap[] = {{layout::relmap::kUpdate, "UPDATE", RelMapUpdate}};

// ReplicationOrigin

void OriginSet(Description* d) {
  const Lsn lsn = d->in.GetLsn();
  const auto node = d->in.Get<uint16_t>();
  d->Add("set {}; lsn {}; force: {}", node, d->Text(lsn), d->in.Get<uint8_t>());
}

void OriginDrop(Description* d) { d->Add("drop {}", d->in.Get<uint16_t>()); }

constexpr Operation kReplOrigin[] = {
    {layout::repl_origin::kSet, "SET", OriginSet},
    {layout::repl_origin::kDrop, "DROP", OriginDrop},
};

// LogicalMessage

void LogicalMessage(Description* d) {
  d->in.Skip(4);  // dbId
  const auto transactional = d->in.Get<uint8_t>();
  d->in.AlignTo(8);
  const auto prefix_size = d->in.Get<uint64_t>();
  const auto size = d->in.Get<uint64_t>();
  FieldReader prefix(d->in.GetBytes(prefix_size));
  d->Add("{}, prefix \"{}\"; payload ({} bytes): ",
         transactional ? "transactional" : "non-transactional", prefix.GetString(), size);
  const char* separator = "";
  for (uint8_t byte : d->in.GetBytes(size)) {
    d->Add("{}{:02X}", separator, byte);
    separator = " ";
  }
  if (!prefix.all()) d->in.Spoil();
}

constexpr Operation kLogicalMsg[] = {
    {layout::logical_message::kMessage, "MESSAGE", LogicalMessage}};

}  // namespace

Operations XlogOperations() { return {kInfoRmgrMask, kXlog}; }
Operations SmgrOperations() { return {kInfoRmgrMask, kSmgr}; }
Operations DbaseOperations() { return {kInfoRmgrMask, kDbase}; }
Operations TblspcOperations() { return {kInfoRmgrMask, kTblspc}; }
Operations RelMapOperations() { return {kInfoRmgrMask, kRelMap}; }
Operations ReplOriginOperations() { return {kInfoRmgrMask, kReplOrigin}; }
Operations LogicalMsgOperations() { return {kInfoRmgrMask, kLogicalMsg}; }

}  // namespace neon_redo
