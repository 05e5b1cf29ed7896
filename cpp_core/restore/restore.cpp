// In this order: all that is needed is looked at, and refused if it is wrong; the base is copied; WAL is applied;
// files for the server are written; all is flushed; global/pg_control gets its name.
#include "cpp_core/restore/restore.h"

#include <fmt/format.h>

#include <chrono>
#include <ctime>

#include "cpp_core/base/files.h"
#include "cpp_core/base/guard.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/control_file.h"
#include "cpp_core/pg/parameter_change.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/restore/base_copy.h"
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

class Restorer {
 public:
  Restorer(const RestoreOptions& options, const BaseBackup& base)
      : options_(options), base_(base), wal_(InputOptionsOf(options)), output_(options.output) {}

  Result<RestoreResult> Run();

 private:
  double Lap();
  Status CheckBase() const;
  Status MakeDirectories();
  Status CopyAndReplay();
  Status WriteForServer();
  Status WriteBackup();
  Status WriteControl();
  Result<std::string> ControlFile() const;
  ServerSettings Settings(const std::string& restore_command) const;

  const RestoreOptions& options_;
  const BaseBackup& base_;
  const VerifyOptions wal_;
  const OutputDirectory output_;
  std::optional<ClusterInputs> in_;
  Survey survey_;
  TablespacePlan tablespaces_;
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

Status Restorer::MakeDirectories() {
  RETURN_IF_ERROR(OutputDirectory::Begin(options_.output));
  for (const char* name : kDirectories) RETURN_IF_ERROR(output_.MakeDirectory(name));
  RETURN_IF_ERROR(MakeTablespaces(tablespaces_, output_));
  for (const std::string& name : in_->base_files.directories) {
    const bool is_link = name.starts_with(pg::kTablespaceLinks) &&
                         name.find('/', pg::kTablespaceLinks.size()) == name.npos;
    if (!is_link && IsCopied(name + "/")) RETURN_IF_ERROR(output_.MakeDirectory(name));
  }
  return {};
}

Status Restorer::CopyAndReplay() {
  ASSIGN_OR_RETURN(BaseCopyResult copied, CopyBase({.base = &base_,
                                                    .output = &output_,
                                                    .version = in_->control.version,
                                                    .checksums = in_->control.checksums,
                                                    .quick = options_.quick,
                                                    .with_state = !survey_.point,
                                                    .jobs = options_.jobs,
                                                    .progress = options_.progress},
                                                   in_->base_files));
  result_.files = copied.files;
  result_.bytes_copied = copied.bytes;
  result_.notes.insert(result_.notes.end(), copied.notes.begin(), copied.notes.end());
  result_.copy_seconds = Lap();
  if (!survey_.point) return {};
  RollForward forward(options_, *in_, wal_, survey_, output_, copied.bad_pages,
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
                                                      is_latest ? Lsn() : survey_.end));
  // Without a label and a checkpoint to begin at, the server begins as after a crash, by its own pg_wal.
  const bool begins_after_crash = !survey_.point && !in_->has_label;
  ASSIGN_OR_RETURN(result_.segments_copied, wal.Write(*in_->set, output_, begins_after_crash));
  result_.server_restore_command = RestoreCommandOf(wal.directories(), options_.restore_command);
  ASSIGN_OR_RETURN(const auto auto_conf, base_.ReadIfThere(kAutoConf, kMaxSmallFile));
  RETURN_IF_ERROR(output_.WriteFile(
      kAutoConf,
      WithRecoverySettings(auto_conf.value_or(""), Settings(result_.server_restore_command))));
  RETURN_IF_ERROR(output_.WriteFile("recovery.signal", ""));
  if (in_->has_label) {
    ASSIGN_OR_RETURN(const auto label, base_.ReadWhole(kBackupLabelFile, BaseBackup::kMaxLabel));
    const std::string name = kBackupLabelFile;
    RETURN_IF_ERROR(output_.WriteFile(survey_.point ? name + ".old" : name, label));
  }
  return WriteControl();
}

Status Restorer::WriteControl() {
  ASSIGN_OR_RETURN(const std::string control, ControlFile());
  return output_.WriteFile(kControlBefore, control);
}

// The manifest last, since it has all other files.
Status Restorer::WriteBackup() {
  const RestartPoint& point = *survey_.point;
  ASSIGN_OR_RETURN(const auto wal, WalForServer::Find(*in_->set, point.checkpoint.timeline,
                                                      point.checkpoint.redo, point.end));
  ASSIGN_OR_RETURN(result_.segments_copied, wal.Write(*in_->set, output_, true));
  ASSIGN_OR_RETURN(const auto auto_conf, base_.ReadIfThere(kAutoConf, kMaxSmallFile));
  if (auto_conf) RETURN_IF_ERROR(output_.WriteFile(kAutoConf, *auto_conf));
  RETURN_IF_ERROR(output_.WriteFile(
      kBackupLabelFile, BackupLabelAt(point, in_->set->segment_size(), std::time(nullptr))));
  RETURN_IF_ERROR(WriteControl());
  ASSIGN_OR_RETURN(const std::string manifest,
                   MakeManifest(output_, {.version = in_->control.version,
                                          .system_identifier = in_->control.system_identifier,
                                          .point = &point,
                                          .temporary = kControlBefore,
                                          .name = pg::kControlFile,
                                          .jobs = options_.jobs,
                                          .progress = options_.progress}));
  return output_.WriteFile(kManifestFile, manifest);
}

Result<RestoreResult> Restorer::Run() {
  RETURN_IF_ERROR(OutputDirectory::CheckFree(options_.output));
  ASSIGN_OR_RETURN(ClusterInputs inputs, ReadClusterInputs(wal_, base_, nullptr));
  in_.emplace(std::move(inputs));
  RETURN_IF_ERROR(CheckBase());
  ASSIGN_OR_RETURN(survey_, SurveyWal(*in_, wal_, options_.target, options_.progress));
  if (options_.makes_backup && !survey_.point)
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("no checkpoint was completed between the end of the backup in {} and {}: "
                    "there is nothing to make a new backup of",
                    base_.path(), options_.target.Text()));
  ASSIGN_OR_RETURN(tablespaces_, PlanTablespaces(*in_, survey_, options_.tablespaces));
  result_.notes = in_->wal_notes;
  result_.survey_seconds = Lap();
  RETURN_IF_ERROR(MakeDirectories());
  RETURN_IF_ERROR(CopyAndReplay());
  RETURN_IF_ERROR(options_.makes_backup ? WriteBackup() : WriteForServer());
  RETURN_IF_ERROR(CheckStillTheSame(*in_));
  if (options_.syncs) {
    if (options_.progress) options_.progress({"flushing files", 0, 0});
    RETURN_IF_ERROR(output_.Sync(options_.jobs));
  }
  RETURN_IF_ERROR(output_.Complete(tablespaces_.Directories(), kControlBefore, pg::kControlFile,
                                   options_.syncs));
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

Result<RestoreResult> Restore(const RestoreOptions& options, const BaseBackup& base) {
  return Guarded([&] { return Restorer(options, base).Run(); });
}

}  // namespace neon_redo
