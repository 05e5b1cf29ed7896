#include "cpp_core/verify/data_directory.h"

#include <fmt/format.h>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/control_file.h"

namespace neon_redo {

Result<ControlData> ReadControlData(const BaseBackup& backup) {
  auto read = backup.ControlFile();
  if (!read && read.error().code == ErrorCode::kNotFound)
    read.error().message += " (is this a data directory?)";
  if (!read) return tl::unexpected(read.error());
  const pg::ControlFile& control = *read;
  ControlData data;
  data.version = control.version;
  data.system_identifier = control.system_identifier;
  data.shut_down = control.status == pg::ClusterStatus::kShutDown;
  data.is_standby = control.status == pg::ClusterStatus::kShutDownInRecovery;
  data.state = pg::ClusterStatusText(control.status);
  data.checkpoint = control.checkpoint;
  data.redo = control.checkpoint_copy.redo;
  data.min_recovery_point = control.min_recovery_point;
  data.min_recovery_timeline = control.min_recovery_timeline;
  data.timeline = control.checkpoint_copy.timeline;
  data.track_commit_timestamp = control.track_commit_timestamp;
  data.checksums = control.checksums;
  data.wal_log_hints = control.wal_log_hints;
  data.oldest_xid = control.checkpoint_copy.oldest_xid;
  data.next_xid = static_cast<uint32_t>(control.checkpoint_copy.next_xid);
  data.next_full_xid = control.checkpoint_copy.next_xid;
  data.oldest_multixact = control.checkpoint_copy.oldest_multixact;
  data.next_multixact = control.checkpoint_copy.next_multixact;
  data.next_multixact_offset = control.checkpoint_copy.next_multixact_offset;
  data.oldest_commit_ts = control.checkpoint_copy.oldest_commit_ts_xid;
  data.newest_commit_ts = control.checkpoint_copy.newest_commit_ts_xid;
  return data;
}

Result<BackupLabel> ReadBackupLabel(const BaseBackup& backup) {
  auto label = backup.Label();
  if (!label && label.error().code == ErrorCode::kNotFound)
    label.error().message +=
        " (it must be a base backup as its tool leaves it; a server started on it removes the file)";
  return label;
}

Status CheckDescent(const BackupLabel& label, const std::string& backup, const WalLineage& lineage,
                    const std::string& of) {
  if (lineage.Has(label.timeline, label.start)) return {};
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("the backup in {} was taken on timeline {} at {}, which timeline {} of {} does "
                  "not descend from: give a backup of that timeline or an ancestor",
                  backup, label.timeline, label.start.ToString(), lineage.timeline, of));
}

Status CheckOneCluster(const std::string& wal, const pg::Version& version, uint64_t of_wal,
                       const std::string& directory, const ControlData& control) {
  const uint64_t of_directory = control.system_identifier;
  if (&version != control.version)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the WAL in {} is of PostgreSQL {}, but {} is of PostgreSQL {}",
                                 wal, version.major, directory, control.version->major));
  if (of_wal == of_directory) return {};
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("the WAL in {} is of another cluster than {}: system identifiers "
                               "{} and {}",
                               wal, directory, of_wal, of_directory));
}

Status CheckBackupBeforeWal(const std::string& backup, const BackupLabel& label,
                            const ControlData& control, const WalReaderOptions& wal) {
  ASSIGN_OR_RETURN(const auto lineage, ReadLineage(wal.directories, wal.timeline, label.start));
  const std::string places = NamePaths(wal.directories);
  RETURN_IF_ERROR(
      CheckOneCluster(places, *lineage.version, lineage.system_identifier, backup, control));
  return CheckDescent(label, backup, lineage, "the WAL in " + places);
}

}  // namespace neon_redo
