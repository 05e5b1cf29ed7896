// neon-redo restore: rolls a base backup forward to a point, into a new data directory.
#include "cpp_core/restore/restore.h"
#include "cpp_core/restore/in_place.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/backup_options.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/foreign_text.h"
#include "cli/grouped.h"
#include "cli/progress_bar.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/describe/operation.h"

namespace neon_redo::cli {

namespace {

struct RestoreArguments {
  RestoreOptions restore;
  BackupArguments base_backup;
  bool exclusive = false, no_sync = false, json = false, no_progress = false;
};

std::string Check(const RestoreArguments& arguments) {
  if (std::string bad = CheckBaseBackup(arguments.base_backup); !bad.empty()) return bad;
  if (!arguments.base_backup.given()) return "give --base-backup PATH, the backup to restore";
  if (arguments.restore.wal.empty() && arguments.restore.restore_command.empty())
    return "give --wal DIR or --restore-command COMMAND";
  const RestoreOptions& restore = arguments.restore;
  if (restore.in_place ? !restore.output.empty() : restore.output.empty())
    return "give --output DIR, the directory to make, or --in-place, and not both";
  if (restore.in_place && restore.delta) return "--delta is for --output: leave out --in-place";
  if (restore.in_place && restore.makes_backup)
    return "--synthetic-backup makes a new directory: leave out --in-place, and give --output";
  using Kind = RestoreTarget::Kind;
  const Kind kind = arguments.restore.target.kind;
  if (arguments.exclusive && (kind == Kind::kLatest || kind == Kind::kName))
    return "--exclusive is for a target that is an LSN, a time or a transaction";
  return "";
}

// "OLDDIR=NEWDIR"; a backslash before an equals sign that belongs to a name, as for pg_basebackup.
Status AddMapping(const std::string& text, RestoreArguments* arguments) {
  std::string parts[2];
  int part = 0;
  for (size_t at = 0; at < text.size(); at++) {
    if (text[at] == '\\' && at + 1 < text.size() && text[at + 1] == '=')
      parts[part] += text[++at];
    else if (text[at] == '=' && part == 0)
      part = 1;
    else
      parts[part] += text[at];
  }
  if (!parts[0].starts_with('/') || !parts[1].starts_with('/'))
    return MakeError(ErrorCode::kInvalidArgument,
                     "it must be OLDDIR=NEWDIR, two absolute paths, such as "
                     "/srv/fast=/srv/restored/fast");
  arguments->restore.tablespaces[WithoutSlash(parts[0])] = WithoutSlash(parts[1]);
  return {};
}

std::string StartCommand(const RestoreArguments& arguments) {
  return fmt::format("pg_ctl start -D {}", ShellWord(arguments.restore.output));
}

void PrintServersPart(const RestoreArguments& arguments, const RestoreResult& result) {
  const Lsn from = result.replays ? result.redo : result.start;
  if (!result.replays)
    fmt::print("No checkpoint was completed between the backup and the target.\n");
  fmt::print("The server will replay {} from {} to {}, {} bytes.\n",
             result.replays ? "WAL" : "all WAL", from.ToString(), result.target_end.ToString(),
             Grouped(result.target_end - from));
  fmt::print("restore_command: {}\n", PrintableLines(result.server_restore_command));
  fmt::print("It will stop at {}{}.\n", arguments.restore.target.Text(),
             result.last_transaction ? fmt::format("; the last transaction before it ended at {}",
                                                   TimestampText(*result.last_transaction))
                                     : "");
  if (geteuid() == 0 && !arguments.restore.in_place) {
    std::string places = ShellWord(arguments.restore.output);
    for (const auto& [link, place] : result.tablespaces) places += " " + ShellWord(place);
    fmt::print(
        "The files belong to root. Give them to the user that runs the server:\n"
        "  chown -R postgres: {}\n",
        places);
  }
  fmt::print("Start the server, as the user that owns the files:\n  {}\n", StartCommand(arguments));
}

void PrintText(const RestoreArguments& arguments, const RestoreResult& result) {
  fmt::print("Restored to \"{}\": {} files, {} bytes of the backup\n", arguments.restore.output,
             Grouped(result.files), Grouped(result.bytes_copied));
  if (result.replays)
    fmt::print("WAL from {} to {}, timeline {}: {} records, {} pages written\n",
               result.start.ToString(), result.checkpoint.ToString(), result.timeline,
               Grouped(result.records), Grouped(result.pages_written));
  if (result.pages_made_good + result.maps_emptied > 0)
    fmt::print("Pages that were damaged as copied: {} made good by WAL, {} of maps emptied\n",
               Grouped(result.pages_made_good), Grouped(result.maps_emptied));
  for (const auto& [link, place] : result.tablespaces) fmt::print("{}: \"{}\"\n", link, place);
  if (result.segments_copied > 0)
    fmt::print("{} segments of WAL were written to pg_wal\n", Grouped(result.segments_copied));
  fmt::print(
      "{:.1f} s: {:.1f} s for the look through WAL, {:.1f} s for the copy, {:.1f} s for the "
      "replay, {:.1f} s for the rest\n",
      result.survey_seconds + result.copy_seconds + result.replay_seconds + result.sync_seconds,
      result.survey_seconds, result.copy_seconds, result.replay_seconds, result.sync_seconds);
  if (!arguments.restore.makes_backup) return PrintServersPart(arguments, result);
  fmt::print(
      "It is a base backup as of the checkpoint at {}, with backup_label and backup_manifest.\n",
      result.checkpoint.ToString());
}

void PrintJson(const RestoreArguments& arguments, const RestoreResult& result) {
  nlohmann::ordered_json out;
  out["output"] = arguments.restore.output;
  out["target"] = arguments.restore.target.Text();
  out["start_lsn"] = result.start.ToString();
  out["checkpoint_lsn"] =
      result.replays ? nlohmann::ordered_json(result.checkpoint.ToString()) : nullptr;
  out["redo_lsn"] = result.replays ? nlohmann::ordered_json(result.redo.ToString()) : nullptr;
  out["end_lsn"] = result.target_end.ToString();
  out["last_transaction"] = result.last_transaction
                                ? nlohmann::ordered_json(TimestampText(*result.last_transaction))
                                : nullptr;
  out["timeline"] = result.timeline;
  out["records"] = result.records;
  out["files"] = result.files;
  out["bytes_copied"] = result.bytes_copied;
  out["pages_written"] = result.pages_written;
  out["pages_made_good"] = result.pages_made_good;
  out["maps_emptied"] = result.maps_emptied;
  out["pages_spilled"] = result.pages_spilled;
  out["segments_copied"] = result.segments_copied;
  out["tablespaces"] = result.tablespaces;
  out["restore_command"] = result.server_restore_command;
  out["notes"] = result.notes;
  out["survey_seconds"] = result.survey_seconds;
  out["copy_seconds"] = result.copy_seconds;
  out["replay_seconds"] = result.replay_seconds;
  out["sync_seconds"] = result.sync_seconds;
  out["synthetic_backup"] = arguments.restore.makes_backup;
  out["start_command"] =
      arguments.restore.makes_backup ? nullptr : nlohmann::ordered_json(StartCommand(arguments));
  fmt::print("{}\n", JsonText(out, 2));
}

// Of a restore in place that an earlier command had begun.
int SayEnded(const RestoreArguments& arguments) {
  if (arguments.json)
    fmt::print("{}\n", JsonText({{"output", arguments.restore.output},
                                 {"target", arguments.restore.target.Text()},
                                 {"start_command", StartCommand(arguments)}},
                                2));
  else
    fmt::print("The restore of \"{}\" that was begun before has ended. Start the server:\n  {}\n",
               arguments.restore.output, StartCommand(arguments));
  return kExitFine;
}

Outcome Run(RestoreArguments arguments) {
  if (const std::string bad = Check(arguments); !bad.empty()) return Fail(bad);
  RestoreOptions& restore = arguments.restore;
  restore.target.inclusive = !arguments.exclusive;
  restore.syncs = !arguments.no_sync;
  restore.spill_directory = TemporaryDirectory();
  restore.wal_stanza = arguments.base_backup.options.stanza;
  restore.wal_cipher_pass_file = arguments.base_backup.options.cipher_pass_file;
  restore.output =
      WithoutSlash(restore.in_place ? arguments.base_backup.paths.back() : restore.output);
  FileDescriptor lock;
  if (restore.in_place) {
    ASSIGN_OR_RETURN(lock, LockInPlace(restore.output));
    ASSIGN_OR_RETURN(const bool was_begun, FinishEarlierRestore(restore, restore.output));
    if (was_begun) return SayEnded(arguments);
  }
  ProgressBar bar(!arguments.no_progress);
  restore.progress = [&bar](const VerifyProgress& p) { bar.Show(p.phase, p.done, p.total); };
  ASSIGN_OR_RETURN(const auto base, OpenBackup(arguments.base_backup));
  const auto result = Restore(restore, *base);
  bar.Clear();
  if (!result) return tl::unexpected(Failure(result.error()));
  SayNotes(result->notes);
  arguments.json ? PrintJson(arguments, *result) : PrintText(arguments, *result);
  return kExitFine;
}

void AddTarget(Options* options, RestoreArguments* arguments) {
  options->Value(
      "--to=TARGET",
      [arguments](const std::string& text) -> Status {
        ASSIGN_OR_RETURN(arguments->restore.target, ParseRestoreTarget(text));
        return {};
      },
      "where recovery ends: latest (default), an LSN, a time such as \"2024-05-31 14:00:00+02\" (without a "
      "zone: local time), the number of a transaction, or the name of a restore point; lsn:, time:, "
      "xid: or name: before it says which of them it is");
  options->Flag("--exclusive", &arguments->exclusive,
                "stop before the target, as with recovery_target_inclusive = off");
  options->Choice("--target-action=ACTION", &arguments->restore.target_action,
                  {{"promote", std::string("promote")},
                   {"pause", std::string("pause")},
                   {"shutdown", std::string("shutdown")}},
                  "what the server does there: promote (default), pause or shutdown");
  AddTimeline(options, &arguments->restore.timeline);
}

}  // namespace

CommandFunction DeclareRestore(Options* options) {
  auto arguments = std::make_shared<RestoreArguments>();
  options->Usage(
      "[OPTION]... --base-backup=PATH --wal=DIR... --output=DIR\n"
      "  neon-redo restore [OPTION]... --base-backup=PATH --wal=DIR... --in-place");
  AddBaseBackup(
      options, &arguments->base_backup,
      "base backup to restore: a directory, a base.tar or the directory with it, a pgBackRest "
      "repository, a Barman server's directory or WAL-G's storage; of an incremental "
      "backup of PostgreSQL give the full one and all after it, the newest last");
  AddWalDirectories(options, &arguments->restore.wal);
  AddRestoreCommand(options, &arguments->restore.restore_command);
  AddUntestedVersion(options);
  AddTarget(options, arguments.get());
  options->Path("--output=DIR", &arguments->restore.output,
                "data directory to make: it is empty, or is not there yet");
  options->Flag(
      "--delta", &arguments->restore.delta,
      "the output may hold an older or damaged copy of the cluster, which no server runs on: only what "
      "differs is written, and all else in it is removed");
  options->Flag("--in-place", &arguments->restore.in_place,
                "turn the base backup itself, a plain directory, into the data directory");
  options->Flag(
      "--synthetic-backup", &arguments->restore.makes_backup,
      "make a new base backup, as of the last checkpoint before the target, instead of a directory "
      "to start a server on");
  options->Value(
      "--tablespace-mapping=OLDDIR=NEWDIR",
      [arguments](const std::string& text) { return AddMapping(text, arguments.get()); },
      "put the tablespace that was in OLDDIR into NEWDIR, which is empty or is not there yet");
  options->Flag("--quick", &arguments->restore.quick,
                "copy pages that WAL does not change without a look at their checksums");
  options->Flag(
      "--no-sync", &arguments->no_sync,
      "do not wait until all is on disk: for tests, since a crash of the machine loses it");
  AddEngine(options, &arguments->restore.engine,
            "what applies records: auto (default): this process, or a sandboxed worker where it "
            "cannot; native: this process alone; worker");
  AddReplayLimits(options, &arguments->restore.jobs, &arguments->restore.memory);
  AddFormat(options, &arguments->json, "text (default) or json (one object)");
  AddNoProgress(options, &arguments->no_progress);
  AddWorkerOptions(options, &arguments->restore.worker);
  options->Notes(
      "The command copies the base backup and applies the WAL up to the last checkpoint before the\n"
      "target, with all processors. The server replays the rest when it starts, and stops at the\n"
      "target by its own rules. Settings for that are in postgresql.auto.conf.\n\n"
      "The exit status is 0 when the directory is complete, and 2 otherwise. A directory that is not\n"
      "complete has no global/pg_control, and no server starts on it.\n\n"
      "Examples:\n"
      "  neon-redo restore --base-backup=/backups/monday --wal=/archive \\\n"
      "    --output=/var/lib/postgresql/15/restored\n"
      "  neon-redo restore --base-backup=/backups/monday --wal=/archive \\\n"
      "    --to='2024-05-31 14:00' --output=/srv/restored \\\n"
      "    --tablespace-mapping=/srv/fast=/srv/restored_fast\n");
  return [arguments] { return Run(*arguments); };
}

}  // namespace neon_redo::cli
