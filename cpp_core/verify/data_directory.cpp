#include "cpp_core/verify/data_directory.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "cpp_core/archive/wal_set.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/control_file.h"
#include "cpp_core/pg/paths.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

namespace {

constexpr const char* kServerFile = "postmaster.pid";

}  // namespace

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
  data.in_production = control.status == pg::ClusterStatus::kInProduction;
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

Result<std::optional<int>> FindServer(const BaseBackup& directory) {
  ASSIGN_OR_RETURN(const auto text, directory.ReadIfThere(kServerFile, kMaxSmallFile));
  if (!text) return std::nullopt;
  // CreateLockFile in utils/init/miscinit.c: the process, below 0 of a single-user server, and the data
  // directory as it is named there. A snapshot has the file, too.
  const size_t line = std::min(text->find('\n'), text->size());
  const char* first = text->data() + (text->starts_with('-') ? 1 : 0);
  int pid = 0;
  std::from_chars(first, text->data() + line, pid);
  if (pid <= 0 || (kill(pid, 0) != 0 && errno != EPERM)) return std::nullopt;
  struct stat here, there;
  if (stat(directory.path().c_str(), &here) != 0) return FileError("stat file", directory.path());
  const auto is_here = [&] { return here.st_dev == there.st_dev && here.st_ino == there.st_ino; };
  // A server's working directory is its data directory.
  if (stat(fmt::format("/proc/{}/cwd", pid).c_str(), &there) == 0)
    return is_here() ? std::optional(pid) : std::nullopt;
  const size_t begin = std::min(line + 1, text->size());
  const std::string named = text->substr(begin, text->find('\n', begin) - begin);
  // It may run where this directory has another name.
  if (stat(named.c_str(), &there) != 0 || is_here()) return pid;
  return std::nullopt;
}

std::map<std::string, std::string> AbsentDirectories(const BaseFiles& list) {
  std::map<std::string, std::string> out;
  for (const std::string& name : pg::NeededDirectories()) {
    if (list.directories.contains(name)) continue;
    const auto file = list.files.find(name);
    const bool is_there = file != list.files.end();
    out[name] = !is_there ? "" : file->second.strange.empty() ? "a file" : file->second.strange;
  }
  return out;
}

Status CheckNeededDirectories(const BaseBackup& files, const BaseFiles& list, bool all) {
  for (const auto& [name, what] : AbsentDirectories(list)) {
    const bool is_of_relations = name == "base" || name == "global" || name == "pg_tblspc";
    if (what.empty() && !all && !is_of_relations) continue;
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("could not open directory \"{}/{}\": it is {}", files.path(), name,
                                 what.empty() ? "missing" : what));
  }
  return {};
}

Result<std::string> ServerState(const BaseBackup& directory) {
  ASSIGN_OR_RETURN(const auto control, directory.ReadIfThere(pg::kControlFile, kMaxSmallFile));
  ASSIGN_OR_RETURN(const auto server, directory.ReadIfThere(kServerFile, kMaxSmallFile));
  return control.value_or("") + server.value_or("none");
}

namespace {

// The end of the WAL that the copy has itself. All that was on disk when it was made is older.
Result<Lsn> EndOfOwnWal(const BaseBackup& backup, const ControlData& control) {
  ASSIGN_OR_RETURN(
      const auto reader,
      WalReader::Open({.directories = {backup.path() + "/pg_wal"},
                       .from = control.redo,
                       .to = {},
                       .timeline = std::max(control.timeline, control.min_recovery_timeline)}));
  WalRecord record;
  while (reader->Next(&record)) {
  }
  if (reader->error()) return tl::unexpected(*reader->error());
  return reader->end_of_wal();
}

// Why the backup is none without its label; empty: it may be a copy that never had one.
Result<std::string> SignsOfALabel(const BaseBackup& backup, const ControlData& control) {
  if (!backup.may_be_copy()) return std::string("the tool that took it has put one there");
  ASSIGN_OR_RETURN(const auto map, backup.ReadIfThere(kTablespaceMapFile, kMaxSmallFile));
  if (map) return std::string("tablespace_map is there, which goes with it");
  const auto manifest = backup.Manifest();
  if (!manifest && manifest.error().code != ErrorCode::kCorrupt)
    return tl::unexpected(manifest.error());
  if (!manifest) return "backup_manifest, which may go with it, is damaged";
  if (*manifest)
    for (const ManifestWalRange& range : (*manifest)->wal_ranges)
      // Else a server has been at work on it since.
      if (range.end > control.redo)
        return fmt::format("by {} it is a base backup", backup.manifest_name());
  ASSIGN_OR_RETURN(const auto list, backup.ListData());
  for (const auto& [name, file] : list.files)
    if (name.find("/INCREMENTAL.") != name.npos) return "it has files of an incremental backup";
  return std::string();
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
  ASSIGN_OR_RETURN(const auto server, FindServer(backup));
  if (server)
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("a server (process {}) runs on {}, which has no backup_label: give "
                    "a base backup or a snapshot of it",
                    *server, backup.path()));
  ASSIGN_OR_RETURN(const std::string why, SignsOfALabel(backup, control));
  if (!why.empty())
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("{}: {}, and without it nobody knows where replay begins; take "
                                 "another copy of this backup",
                                 label.error().message, why));
  const bool is_standby = control.is_standby || control.in_recovery;
  const bool is_cold = control.is_standby || control.shut_down;
  out.label.start = control.redo;
  out.label.timeline = control.timeline;
  out.note = fmt::format(
      "\"{}\" has no backup_label, so it is taken for {} (state: {}): replay begins at {}, its last "
      "checkpoint's redo point, and a backup_manifest is not looked at",
      backup.path(), is_cold ? "a copy of a stopped cluster" : "a snapshot", control.state,
      control.redo.ToString());
  if (is_standby) {
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
                            const ControlData& control, const WalSet& wal,
                            std::optional<uint32_t> timeline) {
  ASSIGN_OR_RETURN(const auto lineage, ReadLineage(wal, timeline, label.start));
  const std::string places = NamePaths(wal.given());
  RETURN_IF_ERROR(
      CheckOneCluster(places, *lineage.version, lineage.system_identifier, backup, control));
  return CheckDescent(label, backup, lineage, "the WAL in " + places);
}

}  // namespace neon_redo
