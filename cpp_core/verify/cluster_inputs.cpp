#include "cpp_core/verify/cluster_inputs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/wal/open.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

namespace {

class InputReader {
 public:
  InputReader(const VerifyOptions& options, const BaseBackup& base, const BaseBackup* data)
      : options_(options), in_{base, data} {}

  Result<ClusterInputs> Read() {
    ASSIGN_OR_RETURN(in_.base_control, ReadControlData(in_.base));
    in_.control = in_.base_control;
    for (const std::string& directory : options_.wal) AddWal(directory);
    RETURN_IF_ERROR(ReadStart());
    ASSIGN_OR_RETURN(in_.base_files, options_.quick ? in_.base.ListData() : in_.base.List());
    // Else it is reported.
    if (options_.quick) RETURN_IF_ERROR(CheckNeededDirectories(in_.base, in_.base_files, true));
    std::erase_if(in_.base_files.files, [](const auto& file) {
      return file.first == "pg_wal" || file.first.starts_with("pg_wal/");
    });
    if (in_.compares()) RETURN_IF_ERROR(ReadData());
    RETURN_IF_ERROR(FindWal());
    ASSIGN_OR_RETURN(in_.set, OpenWalOf(options_, in_, in_.label.start, in_.label.timeline));
    RETURN_IF_ERROR(CheckTimeline());
    return std::move(in_);
  }

 private:
  // A directory that is given, too, is read once.
  void AddWal(const std::string& directory) {
    if (std::find(in_.wal.begin(), in_.wal.end(), directory) == in_.wal.end())
      in_.wal.push_back(directory);
  }
  Status ReadStart();
  Status ReadData();
  Status ReadState();
  void TakeStandby();
  Status FindWal();
  Status CheckTimeline();

  const VerifyOptions& options_;
  ClusterInputs in_;
};

// A copy without backup_label has the WAL that makes it consistent.
Status InputReader::ReadStart() {
  ASSIGN_OR_RETURN(const auto start, ReadReplayStart(in_.base, in_.base_control));
  in_.label = start.label;
  in_.consistent_at = start.consistent_at;
  in_.has_label = start.has_label();
  if (in_.has_label) return {};
  ASSIGN_OR_RETURN(in_.base_state, ServerState(in_.base));
  in_.wal_notes.push_back(start.note);
  const std::string own = in_.base.path() + "/pg_wal";
  if (access(own.c_str(), F_OK) == 0) AddWal(own);
  return {};
}

Status InputReader::ReadData() {
  const std::string& base = in_.base.path();
  const std::string& data = in_.data->path();
  ASSIGN_OR_RETURN(in_.data_state, ServerState(*in_.data));
  ASSIGN_OR_RETURN(in_.control, ReadControlData(*in_.data));
  if (in_.control.version != in_.base_control.version)
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("the backup in {} is of PostgreSQL {}, but the cluster in {} is of PostgreSQL "
                    "{}",
                    base, in_.base_control.version->major, data, in_.control.version->major));
  RETURN_IF_ERROR(ReadState());
  if (options_.timeline.value_or(in_.control.timeline) != in_.control.timeline)
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("the cluster in {} is on timeline {}, not {}: leave out --timeline", data,
                    in_.control.timeline, *options_.timeline));
  if (in_.base_control.system_identifier != in_.control.system_identifier)
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("{} is not a backup of the cluster in {}: system identifiers {} "
                    "and {}",
                    base, data, in_.base_control.system_identifier, in_.control.system_identifier));
  return {};
}

// As what data is to be compared.
Status InputReader::ReadState() {
  const std::string& data = in_.data->path();
  const auto label = in_.data->Label();
  if (!label && label.error().code != ErrorCode::kNotFound) return tl::unexpected(label.error());
  if (label) {
    in_.second = *label;
    if (label->is_incremental)
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("the backup in {} is an incremental one, and can be compared "
                      "only once pg_combinebackup has combined it with those before it",
                      data));
    if (in_.second.start < in_.label.start)
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("the backup in {} is older than the one to start from: give one "
                                   "taken later",
                                   data));
    if (in_.second.from_standby) TakeStandby();
  } else if (!in_.control.shut_down) {
    ASSIGN_OR_RETURN(const auto server, FindServer(*in_.data));
    in_.running = server.has_value();
    const bool is_standby = in_.control.is_standby || in_.control.in_recovery;
    if (server && !in_.control.in_recovery && !in_.control.in_production)
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("process {} is starting or stopping a server on {} (state: {}): wait until "
                      "that is done",
                      *server, data, in_.control.state));
    in_.second.start = in_.control.redo;
    if (in_.second.start < in_.label.start)
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("the last {} of the {} in {} is at {}, before the start of the backup in {}: "
                      "{} once it has {} a checkpoint since",
                      is_standby ? "restartpoint" : "checkpoint",
                      is_standby ? "standby" : "cluster", data, in_.control.redo.ToString(),
                      in_.base.path(), server ? "begin again" : "start it, and stop it",
                      is_standby ? "replayed" : "completed"));
    if (is_standby) TakeStandby();
    in_.crashed = !is_standby && !server;
    // Soon after a promotion the last checkpoint is of the timeline before.
    in_.control.timeline = std::max(in_.control.timeline, in_.control.min_recovery_timeline);
  }
  return {};
}

// A standby's pages are of its last restartpoint or of any time since, up to the end of the recovery
// that it needs. So it is looked at like a later backup.
void InputReader::TakeStandby() {
  in_.second_end = in_.control.min_recovery_point;
  in_.control.timeline = std::max(in_.control.timeline, in_.control.min_recovery_timeline);
  in_.of_standby = true;
}

// The shutdown checkpoint is in a segment that is never archived: it is in the cluster's own pg_wal,
// perhaps by a link. A backup may have been taken without.
Status InputReader::FindWal() {
  if (!in_.compares()) return {};
  const std::string own = in_.data->path() + "/pg_wal";
  if (access(own.c_str(), F_OK) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) return FileError("access directory", own);
    in_.wal_notes.push_back(fmt::format("there is no directory \"{}\"", own));
    return {};
  }
  // In a data directory that is given as a directory of WAL, it is the same directory.
  AddWal(own);
  return {};
}

// The cluster descends from the backup, or the WAL to replay is of another history.
Status InputReader::CheckTimeline() {
  const auto timeline = in_.Timeline(options_);
  const std::string places = NamePaths(in_.set->given());
  ASSIGN_OR_RETURN(const auto lineage, ReadLineage(*in_.set, timeline, in_.label.start));
  RETURN_IF_ERROR(CheckOneCluster(places, *lineage.version, lineage.system_identifier,
                                  in_.compares() ? in_.data->path() : in_.base.path(),
                                  in_.control));
  in_.wal_timeline = lineage.timeline;
  if (!timeline) in_.other_timelines = FindOtherTimelines(*in_.set, lineage);
  Status status =
      CheckDescent(in_.label, in_.base.path(), lineage,
                   in_.compares() ? "the cluster in " + in_.data->path() : "the WAL in " + places);
  if (!status && !timeline)
    status.error().message +=
        fmt::format(", or --timeline={} to follow the backup's", in_.label.timeline);
  return status;
}

}  // namespace

Result<WalSet> OpenWalOf(const VerifyOptions& options, const ClusterInputs& inputs, Lsn start,
                         uint32_t start_timeline) {
  return WalSet::Open(WalSources{.directories = inputs.wal,
                                 .restore_command = options.restore_command,
                                 .start = start,
                                 .timeline = inputs.Timeline(options),
                                 .start_timeline = start_timeline,
                                 .stanza = options.wal_stanza,
                                 .cipher_pass_file = options.wal_cipher_pass_file});
}

Error WalError(const ClusterInputs& inputs, Error error) {
  const bool may_be_removed =
      error.code == ErrorCode::kNotFound || error.code == ErrorCode::kCorrupt;
  if (inputs.running && may_be_removed)
    error.message += fmt::format(
        " (the server that runs on {} removes WAL from its pg_wal: --wal must name the archive)",
        inputs.data->path());
  return error;
}

Status CheckStillTheSame(const ClusterInputs& inputs) {
  const auto check = [](const BaseBackup& files, const std::string& before) -> Status {
    ASSIGN_OR_RETURN(const std::string now, ServerState(files));
    if (now == before) return {};
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("pg_control or postmaster.pid in \"{}\" changed while the command "
                                 "ran: a server was started there; stop it, and begin again",
                                 files.path()));
  };
  if (!inputs.has_label) RETURN_IF_ERROR(check(inputs.base, inputs.base_state));
  return inputs.compares() && !inputs.running ? check(*inputs.data, inputs.data_state) : Status();
}

Status CheckNoMoreWal(const VerifyOptions& options, const ClusterInputs& inputs, Lsn end) {
  const Lsn from = inputs.second.start;
  const uint32_t timeline = inputs.control.timeline;
  ASSIGN_OR_RETURN(const auto set, OpenWalOf(options, inputs, from, timeline));
  ASSIGN_OR_RETURN(const auto reader, OpenWal(set, {.from = from, .to = {}, .timeline = timeline}));
  for (WalRecord record; reader->Next(&record);)
    if (record.start >= end)
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format(
              "WAL of the cluster in {} ended at {}, and went on while the command ran: a "
              "server runs there that cannot be seen from here, in a container or on another "
              "machine; run the command where the server runs, or stop it",
              inputs.data->path(), end.ToString()));
  return reader->error() ? Status(tl::unexpected(*reader->error())) : Status();
}

Result<ClusterInputs> ReadClusterInputs(const VerifyOptions& options, const BaseBackup& base,
                                        const BaseBackup* data) {
  return InputReader(options, base, data).Read();
}

}  // namespace neon_redo
