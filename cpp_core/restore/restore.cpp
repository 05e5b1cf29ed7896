// In this order: all that is needed is looked at, and refused if it is wrong; the base is copied; WAL is applied;
// files for the server are written; all is flushed; global/pg_control gets its name.
#include "cpp_core/restore/restore.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <set>

#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/guard.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/control_file.h"
#include "cpp_core/pg/parameter_change.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/restore/base_copy.h"
#include "cpp_core/restore/in_place.h"
#include "cpp_core/restore/new_backup.h"
#include "cpp_core/restore/output.h"
#include "cpp_core/restore/roll_forward.h"
#include "cpp_core/restore/server_files.h"
#include "cpp_core/restore/survey.h"
#include "cpp_core/restore/tablespaces.h"
#include "cpp_core/verify/cluster_inputs.h"

namespace neon_redo {

namespace {

constexpr const char* kControlBefore = "global/pg_control.neon_redo";
constexpr const char* kAutoConf = "postgresql.auto.conf";

// Of every cluster, the outer before the inner (subdirs in bin/initdb/initdb.c).
constexpr const char* kDirectories[] = {"base",
                                        "global",
                                        "pg_commit_ts",
                                        "pg_dynshmem",
                                        "pg_logical",
                                        "pg_multixact",
                                        "pg_notify",
                                        "pg_logical/mappings",
                                        "pg_logical/snapshots",
                                        "pg_multixact/members",
                                        "pg_replslot",
                                        "pg_serial",
                                        "pg_multixact/offsets",
                                        "pg_snapshots",
                                        "pg_stat",
                                        "pg_stat_tmp",
                                        "pg_subtrans",
                                        "pg_tblspc",
                                        "pg_twophase",
                                        "pg_wal",
                                        "pg_xact",
                                        "pg_wal/archive_status"};

// Of which the server allows for one (check_recovery_target in access/transam/xlogrecovery.c).
constexpr const char* kTargets[] = {"recovery_target", "recovery_target_lsn",
                                    "recovery_target_name", "recovery_target_time",
                                    "recovery_target_xid"};

VerifyOptions InputOptionsOf(const RestoreOptions& options) {
  VerifyOptions out;
  out.wal = options.wal;
  out.restore_command = options.restore_command;
  out.wal_stanza = options.wal_stanza;
  out.wal_cipher_pass_file = options.wal_cipher_pass_file;
  out.timeline = options.timeline;
  out.spill_directory = options.spill_directory;
  return out;
}

// Or it is the directory itself. Links are followed.
Result<bool> IsBelow(const std::string& path, const std::string& directory) {
  std::error_code error;
  const auto below = std::filesystem::weakly_canonical(path, error);
  const auto above = error ? below : std::filesystem::weakly_canonical(directory, error);
  if (!error)
    return std::mismatch(above.begin(), above.end(), below.begin(), below.end()).first ==
           above.end();
  errno = error.value();
  return FileError("resolve path", path);
}

// What says whether a restore that was interrupted was to the same target; for people it is Text().
std::string KeyOf(const RestoreOptions& options) {
  std::string key = fmt::format("\n{}\n{}\n", options.target_action, options.timeline.value_or(0));
  for (const auto& [name, value] : options.target.Settings())
    key += fmt::format("{}={}\n", name, value);
  return key;
}

class Restorer {
 public:
  Restorer(const RestoreOptions& options, const BaseBackup& base)
      : options_(options), base_(base), wal_(InputOptionsOf(options)) {}

  Result<RestoreResult> Run();

 private:
  double Lap();
  Status CheckBase() const;
  Status CheckDelta() const;
  Status CheckInPlace() const;
  Status BeginOutput();
  Status Complete();
  Status MakeDirectories();
  Result<BaseCopyResult> Copy();
  Status RemoveSurplus(const std::set<std::string>& copied);
  Status CopyAndReplay();
  Status WriteForServer();
  Status WriteBackup();
  Status RemoveOld();
  Status WriteControl();
  Result<std::string> ControlFile() const;
  ServerSettings Settings(const std::string& restore_command) const;

  const RestoreOptions& options_;
  const BaseBackup& base_;
  const VerifyOptions wal_;
  std::unique_ptr<OutputDirectory> output_;
  const LoggedDirectory* log_ = nullptr;  // the same, in place
  std::optional<ClusterInputs> in_;
  Survey survey_;
  TablespacePlan tablespaces_;
  std::vector<FileDescriptor> marks_;  // locked, so that no other restore writes there
  RestoreResult result_;
  std::chrono::steady_clock::time_point lap_ = std::chrono::steady_clock::now();
};

// Seconds since it was called last.
double Restorer::Lap() {
  const auto now = std::chrono::steady_clock::now();
  return std::chrono::duration<double>(now - std::exchange(lap_, now)).count();
}

Status Restorer::CheckBase() const {
  ASSIGN_OR_RETURN(const pg::ControlFile control, base_.ControlFile());
  if (control.wal_level == pg::kWalLevelMinimal)
    return MakeError(
        ErrorCode::kUnsupported,
        fmt::format("the cluster of the backup in {} had wal_level=minimal: its WAL lacks changes, "
                    "and PostgreSQL cannot recover over it either",
                    base_.path()));
  return CheckNeededDirectories(base_, in_->base_files, false);
}

// What is read must not lie in what is written over.
Status Restorer::CheckDelta() const {
  RETURN_IF_ERROR(
      OutputDirectory::CheckDelta(options_.output, in_->base_control.system_identifier));
  std::vector<std::string> read = in_->set->directories();
  read.push_back(base_.path());
  for (const BaseBackup* link : base_.Links()) read.push_back(link->path());
  for (const std::string& path : read) {
    ASSIGN_OR_RETURN(const bool is_below, IsBelow(path, options_.output));
    if (is_below)
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("\"{}\" lies in \"{}\", which is written over: copy it to another place",
                      path, options_.output));
  }
  return {};
}

Status Restorer::MakeDirectories() {
  ASSIGN_OR_RETURN(FileDescriptor mark,
                   options_.delta ? OutputDirectory::BeginDelta(options_.output,
                                                                in_->base_control.system_identifier)
                                  : OutputDirectory::Begin(options_.output));
  marks_.push_back(std::move(mark));
  for (const char* name : kDirectories) RETURN_IF_ERROR(output_->MakeDirectory(name));
  RETURN_IF_ERROR(MakeTablespaces(tablespaces_, *output_, &marks_));
  for (const std::string& name : in_->base_files.directories) {
    const bool is_link = name.starts_with(pg::kTablespaceLinks) &&
                         name.find('/', pg::kTablespaceLinks.size()) == name.npos;
    if (!is_link && IsCopied(name + "/")) RETURN_IF_ERROR(output_->MakeDirectory(name));
  }
  return {};
}

// In place there is nothing to copy, but pages are to be looked at all the same.
Result<BaseCopyResult> Restorer::Copy() {
  if (options_.in_place && options_.quick) return BaseCopyResult();
  if (options_.in_place) {
    ASSIGN_OR_RETURN(BackupReadResult read, ReadBackupFiles({.backup = &base_,
                                                             .version = in_->control.version,
                                                             .checksums = in_->control.checksums,
                                                             .jobs = options_.jobs,
                                                             .progress = options_.progress},
                                                            in_->base_files, nullptr));
    if (!read.unreadable.empty())
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("{} cannot be read", base_.Where(*read.unreadable.begin())));
    BaseCopyResult out;
    out.bad_pages = std::move(read.bad_pages);
    return out;
  }
  return CopyBase({.base = &base_,
                   .output = output_.get(),
                   .version = in_->control.version,
                   .checksums = in_->control.checksums,
                   .quick = options_.quick,
                   .delta = options_.delta,
                   .with_state = !survey_.point,
                   .jobs = options_.jobs,
                   .progress = options_.progress},
                  in_->base_files);
}

// Of what was there before.
Status Restorer::RemoveSurplus(const std::set<std::string>& copied) {
  ASSIGN_OR_RETURN(const auto names, output_->Names());
  const pg::Version& version = *in_->control.version;
  // A tablespace's directory may have that of another version, too.
  const std::string own = fmt::format("/{}/", version.tablespace_directory);
  for (const std::string& name : names) {
    const bool is_others = name.starts_with(pg::kTablespaceLinks) && name.find(own) == name.npos;
    if (!copied.contains(name) && name != kRestoringFile && !is_others)
      RETURN_IF_ERROR(output_->Remove(name));
  }
  ASSIGN_OR_RETURN(const BaseFiles there,
                   ListPlainFiles({options_.output, "", {}, ""}, version, true));
  for (const std::string& name : there.directories)
    if (pg::ParseDatabasePath(version, name) && !in_->base_files.directories.contains(name))
      RETURN_IF_ERROR(output_->Remove(name));
  for (const auto& [oid, tablespace] : there.tablespaces)
    if (!in_->base_files.tablespaces.contains(oid))
      RETURN_IF_ERROR(output_->Remove(fmt::format("{}{}", pg::kTablespaceLinks, oid)));
  return {};
}

Status Restorer::CopyAndReplay() {
  ASSIGN_OR_RETURN(BaseCopyResult copied, Copy());
  result_.files = copied.files;
  result_.bytes_copied = copied.bytes;
  result_.notes.insert(result_.notes.end(), copied.notes.begin(), copied.notes.end());
  if (options_.delta) RETURN_IF_ERROR(RemoveSurplus(copied.names));
  result_.copy_seconds = Lap();
  if (!survey_.point) {
    if (!copied.bad_pages.empty())
      result_.notes.push_back(fmt::format(
          "{} pages of the backup are damaged, the first is block {} of {}: recovery makes "
          "good those of which WAL has an image; run pg_checksums --check after it",
          copied.bad_pages.size(), copied.bad_pages.begin()->first.block,
          pg::BlockFilePath(*in_->control.version, copied.bad_pages.begin()->first)));
    return {};
  }
  RollForward forward(options_, *in_, wal_, survey_, *output_, copied.bad_pages,
                      tablespaces_.of_wal);
  RETURN_IF_ERROR(forward.Run(&result_));
  result_.replay_seconds = Lap();
  return {};
}

ServerSettings Restorer::Settings(const std::string& restore_command) const {
  ServerSettings out{{"restore_command", restore_command}};
  const uint32_t begins = survey_.point ? survey_.point->checkpoint.timeline : in_->label.timeline;
  out.emplace_back("recovery_target_timeline",
                   in_->wal_timeline == begins ? "current" : std::to_string(in_->wal_timeline));
  const auto target = options_.target.Settings();
  // Those of an earlier recovery may be in another file. An empty one does away with them, but must come before
  // the one that is meant: each looks for others that are set.
  for (const char* name : kTargets)
    if (std::none_of(target.begin(), target.end(), [&](const auto& s) { return s.first == name; }))
      out.emplace_back(name, "");
  out.insert(out.end(), target.begin(), target.end());
  if (!target.empty()) out.emplace_back("recovery_target_action", options_.target_action);
  return out;
}

Result<std::string> Restorer::ControlFile() const {
  ASSIGN_OR_RETURN(std::string before, base_.ReadWhole(pg::kControlFile, 4 * pg::kControlFileSize));
  if (!survey_.point) return before;
  const auto bytes = [](const std::string& text) {
    return Bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  };
  const RestartPoint& point = *survey_.point;
  return pg::ControlFileAtRestartPoint(before, base_.Where(pg::kControlFile),
                                       {.checkpoint = point.start,
                                        .checkpoint_content = bytes(point.content),
                                        .min_recovery_point = point.end,
                                        .timeline = point.checkpoint.timeline,
                                        .parameters = bytes(point.parameters)});
}

Status Restorer::WriteForServer() {
  const bool is_latest = options_.target.kind == RestoreTarget::Kind::kLatest;
  const Lsn from = survey_.point ? survey_.point->checkpoint.redo : in_->label.start;
  ASSIGN_OR_RETURN(const auto wal, WalForServer::Find(*in_->set, in_->wal_timeline, from,
                                                      is_latest ? Lsn() : survey_.read_end));
  // Without a label and a checkpoint to begin at, the server begins as after a crash, by its own pg_wal.
  const bool begins_after_crash = !survey_.point && !in_->has_label;
  ASSIGN_OR_RETURN(result_.segments_copied, wal.Write(*in_->set, *output_, begins_after_crash));
  result_.server_restore_command = RestoreCommandOf(wal.directories(), options_.restore_command);
  ASSIGN_OR_RETURN(const auto auto_conf, base_.ReadIfThere(kAutoConf, kMaxSmallFile));
  RETURN_IF_ERROR(output_->WriteFile(
      kAutoConf,
      WithRecoverySettings(auto_conf.value_or(""), Settings(result_.server_restore_command))));
  RETURN_IF_ERROR(output_->WriteFile("recovery.signal", ""));
  if (in_->has_label) {
    ASSIGN_OR_RETURN(const auto label, base_.ReadWhole(kBackupLabelFile, BaseBackup::kMaxLabel));
    const std::string name = kBackupLabelFile;
    RETURN_IF_ERROR(output_->WriteFile(survey_.point ? name + ".old" : name, label));
  }
  if (options_.in_place) RETURN_IF_ERROR(RemoveOld());
  return WriteControl();
}

// Of what is not copied.
Status Restorer::RemoveOld() {
  for (const char* name :
       {"standby.signal", "backup_manifest", kTablespaceMapFile, "postmaster.opts"})
    RETURN_IF_ERROR(output_->Remove(name));
  for (const auto& [name, file] : in_->base_files.files)
    if (name.starts_with("pg_replslot/") || name.starts_with("pg_stat/") ||
        name.starts_with("pg_stat_tmp/"))
      RETURN_IF_ERROR(output_->Remove(name));
  // Marks of tablespaces that WAL makes; the links are in the log already.
  for (const auto& [oid, place] : tablespaces_.of_wal)
    if (!place.empty())
      RETURN_IF_ERROR(
          output_->Remove(fmt::format("{}{}/{}", pg::kTablespaceLinks, oid, kRestoringFile)));
  return survey_.point ? output_->Remove(kBackupLabelFile) : Status();
}

Status Restorer::WriteControl() {
  ASSIGN_OR_RETURN(const std::string control, ControlFile());
  if (log_ != nullptr)
    return CommitInPlace(*log_, control, options_.target.Text() + KeyOf(options_));
  return output_->WriteFile(kControlBefore, control);
}

// The manifest last, since it has all other files.
Status Restorer::WriteBackup() {
  const RestartPoint& point = *survey_.point;
  ASSIGN_OR_RETURN(const auto wal, WalForServer::Find(*in_->set, point.checkpoint.timeline,
                                                      point.checkpoint.redo, point.end));
  ASSIGN_OR_RETURN(result_.segments_copied, wal.Write(*in_->set, *output_, true));
  ASSIGN_OR_RETURN(const auto auto_conf, base_.ReadIfThere(kAutoConf, kMaxSmallFile));
  if (auto_conf) RETURN_IF_ERROR(output_->WriteFile(kAutoConf, *auto_conf));
  RETURN_IF_ERROR(output_->WriteFile(
      kBackupLabelFile, BackupLabelAt(point, in_->set->segment_size(), std::time(nullptr))));
  RETURN_IF_ERROR(WriteControl());
  ASSIGN_OR_RETURN(const std::string manifest,
                   MakeManifest(*output_, {.version = in_->control.version,
                                           .system_identifier = in_->control.system_identifier,
                                           .point = &point,
                                           .temporary = kControlBefore,
                                           .name = pg::kControlFile,
                                           .jobs = options_.jobs,
                                           .progress = options_.progress}));
  return output_->WriteFile(kManifestFile, manifest);
}

Status Restorer::BeginOutput() {
  if (!options_.in_place) {
    output_ = std::make_unique<OutputDirectory>(options_.output);
    return MakeDirectories();
  }
  ASSIGN_OR_RETURN(auto log, BeginInPlace(base_.path()));
  log_ = log.get();
  output_ = std::move(log);
  return MakeTablespaces(tablespaces_, *output_, &marks_);
}

// What only a new directory can be made of.
Status Restorer::CheckInPlace() const {
  ASSIGN_OR_RETURN(const auto file, base_.OpenAsItIs("PG_VERSION"));
  if (!file || base_.kind() != "a plain directory")
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("the backup in {} is {}, and only a plain directory is restored in place: "
                    "give --output",
                    base_.path(), base_.kind()));
  ASSIGN_OR_RETURN(const auto server, FindServer(base_));
  if (!in_->has_label || server)
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("\"{}\" {}, and only a base backup is restored in place: give --output",
                    base_.path(),
                    server ? fmt::format("is what process {} runs a server on", *server)
                           : std::string("has no backup_label, as a cluster has none")));
  if (survey_.point && !survey_.copied_databases.empty() &&
      survey_.copied_databases[0] < survey_.point->start)
    return MakeError(
        ErrorCode::kUnsupported,
        fmt::format("WAL makes a database as a copy of another's files in the record at {}, which "
                    "cannot be done in place: give --output",
                    survey_.copied_databases[0].ToString()));
  return {};
}

// The last step, before which no server starts.
Status Restorer::Complete() {
  if (options_.in_place) {
    // Of a tablespace that WAL has dropped again: there is no link to it.
    for (const std::string& place : tablespaces_.Directories())
      RETURN_IF_ERROR(OutputDirectory(place).Remove(kRestoringFile));
    return FinishInPlace(base_.path(), options_.jobs, options_.syncs);
  }
  if (options_.syncs) {
    if (options_.progress) options_.progress({"flushing files", 0, 0});
    RETURN_IF_ERROR(output_->Sync(options_.jobs));
  }
  return output_->Complete(tablespaces_.Directories(), kControlBefore, pg::kControlFile,
                           options_.syncs);
}

Result<RestoreResult> Restorer::Run() {
  if (!options_.in_place && !options_.delta)
    RETURN_IF_ERROR(OutputDirectory::CheckFree(options_.output));
  ASSIGN_OR_RETURN(ClusterInputs inputs, ReadClusterInputs(wal_, base_, nullptr));
  in_.emplace(std::move(inputs));
  RETURN_IF_ERROR(CheckBase());
  if (options_.delta) RETURN_IF_ERROR(CheckDelta());
  ASSIGN_OR_RETURN(survey_, SurveyWal(*in_, wal_, options_.target, options_.progress));
  if (options_.makes_backup && !survey_.point)
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("no checkpoint was completed between the end of the backup in {} and {}: "
                    "there is nothing to make a new backup of",
                    base_.path(), options_.target.Text()));
  if (options_.in_place) RETURN_IF_ERROR(CheckInPlace());
  if (survey_.point)
    RETURN_IF_ERROR(CheckWorkerFiles(options_.worker, *in_->control.version, options_.engine));
  ASSIGN_OR_RETURN(tablespaces_,
                   PlanTablespaces(*in_, survey_, options_.tablespaces, options_.in_place,
                                   options_.delta ? options_.output : ""));
  result_.notes = in_->wal_notes;
  result_.survey_seconds = Lap();
  RETURN_IF_ERROR(BeginOutput());
  RETURN_IF_ERROR(CopyAndReplay());
  RETURN_IF_ERROR(CheckStillTheSame(*in_));
  RETURN_IF_ERROR(options_.makes_backup ? WriteBackup() : WriteForServer());
  RETURN_IF_ERROR(Complete());
  result_.sync_seconds = Lap();
  result_.replays = survey_.point.has_value();
  result_.start = survey_.start;
  result_.target_end = survey_.end;
  result_.last_transaction = survey_.last_transaction;
  result_.timeline = in_->wal_timeline;
  if (survey_.point) {
    result_.checkpoint = survey_.point->start;
    result_.redo = survey_.point->checkpoint.redo;
  }
  for (const auto* places : {&tablespaces_.of_base, &tablespaces_.of_wal})
    for (const auto& [oid, place] : *places)
      if (!place.empty())
        result_.tablespaces[fmt::format("{}{}", pg::kTablespaceLinks, oid)] = place;
  return std::move(result_);
}

}  // namespace

Result<bool> FinishEarlierRestore(const RestoreOptions& options, const std::string& backup) {
  return Guarded([&]() -> Result<bool> {
    ASSIGN_OR_RETURN(const auto target, CommittedTarget(backup));
    if (!target) return RemoveRest(backup);
    if (!target->ends_with(KeyOf(options)))
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("a restore of \"{}\" in place to {} was interrupted: run it again with that "
                      "target, to end it",
                      backup, target->substr(0, target->find('\n'))));
    RETURN_IF_ERROR(FinishInPlace(backup, options.jobs, options.syncs));
    return true;
  });
}

Result<RestoreResult> Restore(const RestoreOptions& options, const BaseBackup& base) {
  return Guarded([&] { return Restorer(options, base).Run(); });
}

}  // namespace neon_redo
