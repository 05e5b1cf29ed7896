// What verification reads of a data directory or a base backup as a whole: the control file and the
// backup label, and whether they fit the WAL.
#ifndef NEON_REDO_VERIFY_DATA_DIRECTORY_H_
#define NEON_REDO_VERIFY_DATA_DIRECTORY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/pg/backup_label.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/wal/lineage.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// From global/pg_control.
struct ControlData {
  const pg::Version* version = nullptr;  // not null once read
  uint64_t system_identifier;
  bool shut_down;      // cleanly, by a server that was not in recovery
  bool is_standby;     // shut down cleanly in recovery
  bool in_recovery;    // a standby's, or one that is being restored, and not shut down
  bool in_production;  // a server runs, or has crashed
  std::string state;   // in the words of pg_controldata
  Lsn checkpoint;      // start of the last checkpoint record
  Lsn redo;            // where replay from that checkpoint starts
  // Of a standby that was shut down, or a backup of one: no page is newer. 0 on others.
  Lsn min_recovery_point;
  uint32_t min_recovery_timeline;
  uint32_t timeline;
  bool checksums;
  bool wal_log_hints;
  bool track_commit_timestamp;
  uint32_t oldest_xid, next_xid;  // as of the last checkpoint; what pg_xact has
  uint64_t next_full_xid;         // next_xid with its epoch
  uint32_t oldest_multixact, next_multixact, next_multixact_offset;  // of pg_multixact
  uint32_t oldest_commit_ts, newest_commit_ts;  // transactions that pg_commit_ts has; 0: none
};

// kNotFound: not a data directory. kCorrupt: bad CRC. kUnsupported: another major version.
Result<ControlData> ReadControlData(const BaseBackup& backup);

// Where replay begins: as backup_label says. A plain directory without one is a copy of a stopped cluster, or
// a snapshot of all its file systems at one moment, and begins as crash recovery does. kNotFound: it is a base
// backup that has lost its backup_label. kCorrupt: the label's lines are not there. kInvalidArgument: a server
// runs on it. Others: its own WAL cannot be read.
struct ReplayStart {
  BackupLabel label{};
  std::string note{};  // what it is taken for; empty: it has a label
  // Where the copy is consistent without a record that says so; 0: at the record of the backup's end.
  Lsn consistent_at{};
  bool has_label() const { return note.empty(); }
};
Result<ReplayStart> ReadReplayStart(const BaseBackup& backup, const ControlData& control);

// The process that postmaster.pid names, if it may be a server of this directory. Nothing: there is none, or
// it runs elsewhere, as with a snapshot.
Result<std::optional<int>> FindServer(const BaseBackup& directory);

// Of the directories that every cluster has, those that are not there, and what stands in their place; empty:
// nothing.
std::map<std::string, std::string> AbsentDirectories(const BaseFiles& list);

// The directories are there that every cluster has, or at least those of relations, and none is anything else.
// kInvalidArgument: one is missing.
Status CheckNeededDirectories(const BaseBackup& files, const BaseFiles& list, bool all);

// What a server changes when it starts, runs or stops: two texts that differ show that one did.
Result<std::string> ServerState(const BaseBackup& directory);

// Of files such as a relation map or the state of a prepared transaction: for BaseBackup::ReadWhole.
inline constexpr size_t kMaxSmallFile = 64 << 20;

// The backup was taken on a timeline that `of` ("the cluster in DIR") descends from, where lineage is
// that of `of`. kInvalidArgument: it was not, so that the WAL is no continuation of the backup.
Status CheckDescent(const BackupLabel& label, const std::string& backup, const WalLineage& lineage,
                    const std::string& of);

// The WAL in directories that `wal` names, of this version and system identifier, and the other directory, with this
// control file, are of one cluster. kInvalidArgument: they are not.
Status CheckOneCluster(const std::string& wal, const pg::Version& version, uint64_t of_wal,
                       const std::string& directory, const ControlData& control);

// The WAL of this timeline, or of the one that a reader without a timeline takes, is of the backup's
// cluster, and its timeline descends from the backup's. kInvalidArgument: it is not.
Status CheckBackupBeforeWal(const std::string& backup, const BackupLabel& label,
                            const ControlData& control, const WalSet& wal,
                            std::optional<uint32_t> timeline);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_DATA_DIRECTORY_H_
