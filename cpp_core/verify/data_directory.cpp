#include "cpp_core/verify/data_directory.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

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
  data.in_recovery = control.status == pg::ClusterStatus::kInArchiveRecovery;
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

Result<bool> IsServerRunning(const BaseBackup& directory) {
  ASSIGN_OR_RETURN(const auto text, directory.ReadIfThere("postmaster.pid", kMaxSmallFile));
  if (!text) return false;
  // CreateLockFile in utils/init/miscinit.c: the process, below 0 of a single-user server, and the data
  // directory. A snapshot has the file, too.
  const size_t line = std::min(text->find('\n'), text->size());
  const int pid = std::abs(std::atoi(text->substr(0, line).c_str()));
  if (pid == 0 || (kill(pid, 0) != 0 && errno != EPERM)) return false;
  const size_t begin = std::min(line + 1, text->size());
  const std::string of = text->substr(begin, text->find('\n', begin) - begin);
  struct stat named, here;
  return stat(of.c_str(), &named) == 0 && stat(directory.path().c_str(), &here) == 0 &&
         named.st_dev == here.st_dev && named.st_ino == here.st_ino;
}

namespace {

// The end of the WAL that the copy has itself. All that was on disk when it was made is older.
Result<Lsn> EndOfOwnWal(const BaseBackup& backup, const ControlData& control) {
  ASSIGN_OR_RETURN(const auto reader, WalReader::Open({.directories = {backup.path() + "/pg_wal"},
                                                       .from = control.redo,
                                                       .to = {},
                                                       .timeline = control.timeline}));
  WalRecord record;
  while (reader->Next(&record)) {
  }
  if (reader->error()) return tl::unexpected(*reader->error());
  return reader->end_of_wal();
}

}  // namespace

Result<ReplayStart> ReadReplayStart(const BaseBackup& backup, const ControlData& control) {
  ReplayStart out;
  auto label = backup.Label();
  if (label) {
    out.label = *label;
    if (out.label.from_standby) out.consistent_at = control.min_recovery_point;
    return out;
  }
  if (label.error().code != ErrorCode::kNotFound) return tl::unexpected(label.error());
  ASSIGN_OR_RETURN(const bool is_running, IsServerRunning(backup));
  if (is_running)
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("a server runs on {}: it is no copy; give a base backup or a snapshot of it",
                    backup.path()));
  out.has_label = false;
  out.label.start = control.redo;
  out.label.timeline = control.timeline;
  if (control.is_standby || control.in_recovery) {
    out.consistent_at = std::max(control.min_recovery_point, control.redo);
  } else if (control.shut_down) {
    out.consistent_at = control.redo;
  } else {
    ASSIGN_OR_RETURN(out.consistent_at, EndOfOwnWal(backup, control));
  }
  return out;
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
