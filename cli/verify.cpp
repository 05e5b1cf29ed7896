// neon-redo verify: rebuilds pages from WAL and compares them, with the images in the WAL itself or
// with a cluster's files.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "cli/backup_options.h"
#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/foreign_text.h"
#include "cli/index_options.h"
#include "cli/progress_bar.h"
#include "cli/verify_explain.h"
#include "cli/verify_follow.h"
#include "cli/verify_only.h"
#include "cli/verify_report.h"
#include "cli/verify_reports.h"
#include "cli/verify_running.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/verify/cluster.h"
#include "cpp_core/wal/commit_time.h"
#include "neon_redo/verify.h"

namespace neon_redo::cli {

namespace {

struct VerifyArguments {
  VerifyOptions verify;
  FollowArguments follow;
  bool images = false;
  BackupArguments base_backup;
  std::string against;
  std::string against_dbname;
  std::string explain;
  std::vector<std::string> only;
  std::string index;
  std::string until;
  std::chrono::duration<double> patience{-1};  // of --patience; less than 0: it is not given
  ReportArguments reports;
  bool json = false;
  bool no_progress = false;
};

// What only a base backup that is read as such has a use for; null: nothing of it is given.
const char* OptionOfBackup(const VerifyArguments& arguments) {
  if (arguments.verify.quick) return "--quick";
  if (arguments.verify.max_rate > 0) return "--max-rate";
  return arguments.patience.count() >= 0 ? "--patience" : nullptr;
}

std::string CheckFollow(const VerifyArguments& arguments) {
  const BaseBackupOptions& backup = arguments.base_backup.options;
  return arguments.images || arguments.base_backup.given() || !arguments.against.empty() ||
                 !arguments.verify.wal.empty() || !arguments.verify.restore_command.empty() ||
                 arguments.verify.timeline || !backup.stanza.empty() ||
                 !backup.cipher_pass_file.empty()
             ? "--follow takes its WAL from a server: leave out --wal, --restore-command, "
               "--stanza, --repo-cipher-pass-file, --timeline, --images, --base-backup and "
               "--against"
             : "";
}

std::string CheckLedger(const VerifyArguments& arguments) {
  const VerifyOptions& verify = arguments.verify;
  if (verify.ledger.empty()) return "";
  if (arguments.follow.follow || arguments.images || !arguments.explain.empty())
    return "--ledger is for --base-backup: leave out --follow, --images and --explain";
  if (!arguments.against.empty() || !arguments.against_dbname.empty())
    return "--ledger is of a backup and its WAL, and a comparison must read all: leave out --against or "
           "--against-dbname, or --ledger";
  if (!arguments.until.empty() || verify.quick)
    return "--ledger says that all of the backup and its WAL is proven: leave out --until and --quick";
  if (!verify.restore_command.empty())
    return "--ledger must see which segments there are, and a restore command cannot list them: give "
           "--wal DIR instead";
  if (verify.engine == Engine::kNative)
    return "--ledger says that all WAL is proven, and --engine=native skips records: leave it out";
  return "";
}

std::string CheckOnly(const VerifyArguments& arguments) {
  const VerifyOptions& verify = arguments.verify;
  if (arguments.only.empty())
    return arguments.index.empty() || !arguments.explain.empty()
               ? ""
               : "--index is for --only and --explain";
  if (arguments.images || arguments.follow.follow || !arguments.explain.empty() ||
      !arguments.until.empty() || !verify.ledger.empty() || verify.quick)
    return "--only looks at pages of a cluster: leave out --images, --follow, --explain, --until, "
           "--ledger and --quick";
  if (!verify.restore_command.empty())
    return "--only reads WAL by an index, and a restore command cannot list its archive: give --wal DIR "
           "instead";
  return "";
}

// One line that says what to do; empty when the options fit together.
std::string CheckOptions(const VerifyArguments& arguments) {
  if (!arguments.reports.files.empty() && (arguments.follow.follow || !arguments.explain.empty()))
    return "--report is for --base-backup and --images: leave out --follow and --explain";
  if (arguments.follow.follow && arguments.verify.until_time)
    return "--until must be an LSN with --follow";
  if (!arguments.against_dbname.empty() &&
      (!arguments.against.empty() || !arguments.until.empty() || arguments.images ||
       arguments.follow.follow || !arguments.explain.empty()))
    return "--against-dbname is for --base-backup: leave out --against, --until, --images, --follow "
           "and --explain";
  if (std::string bad = CheckBaseBackup(arguments.base_backup); !bad.empty()) return bad;
  if (std::string bad = CheckLedger(arguments); !bad.empty()) return bad;
  if (std::string bad = CheckOnly(arguments); !bad.empty()) return bad;
  const bool reads_backup =
      !arguments.follow.follow && !arguments.images && arguments.explain.empty();
  if (const char* option = OptionOfBackup(arguments); option != nullptr && !reads_backup)
    return fmt::format("{} is for --base-backup: leave out --follow, --images and --explain",
                       option);
  if (arguments.follow.follow) return CheckFollow(arguments);
  if (!arguments.until.empty() && !arguments.against.empty())
    return "--until ends replay before the state of --against: leave out one of them";
  if (!arguments.until.empty() && (arguments.images || !arguments.explain.empty()))
    return "--until is for --base-backup and --follow: leave out --images and --explain";
  if (arguments.verify.wal.empty() && arguments.verify.restore_command.empty())
    return "give --wal DIR or --restore-command COMMAND, or --follow --dbname CONNINFO for a running "
           "server";
  if (!arguments.explain.empty())
    return arguments.images ? "--explain lists the records of a page: leave out --images" : "";
  if (arguments.images && (arguments.base_backup.given() || !arguments.against.empty()))
    return "--images compares with the WAL's own images: leave out --base-backup and --against";
  if (!arguments.images && !arguments.base_backup.given())
    return "give --base-backup PATH (and --against PGDATA, to compare with it), or --images for WAL "
           "written with wal_consistency_checking = 'all'";
  return "";
}

// The default of --against, which turns a check of the backup into a comparison.
void TakePgdata(VerifyArguments* arguments) {
  const char* pgdata = std::getenv("PGDATA");
  if (pgdata == nullptr || *pgdata == '\0' || arguments->images || arguments->follow.follow ||
      !arguments->against.empty() || !arguments->until.empty() || !arguments->verify.ledger.empty())
    return;
  arguments->against = pgdata;
  Say(fmt::format("comparing with \"{}\", the value of PGDATA; unset PGDATA to replay WAL only",
                  pgdata));
}

// Once it is known whether anything is compared.
std::string TakePatience(VerifyArguments* arguments) {
  if (arguments->patience.count() < 0) return "";
  if (arguments->against.empty())
    return "--patience is for a comparison with a running server: give --against PGDATA, or leave it "
           "out";
  arguments->verify.patience = arguments->patience;
  return "";
}

// The options that name the input, for a command that the report suggests. wal: what was read, with the
// data directory's own pg_wal.
std::string InputOptions(const VerifyArguments& arguments, const std::vector<std::string>& wal) {
  const std::string& command = arguments.verify.restore_command;
  if (wal.empty() && command.empty()) return "--wal=DIR";
  std::string out;
  for (const std::string& directory : wal)
    out += (out.empty() ? "--wal=" : " --wal=") + ShellWord(directory);
  if (!command.empty())
    out += (out.empty() ? "--restore-command=" : " --restore-command=") + ShellWord(command);
  if (const std::string words = arguments.base_backup.Words(); !words.empty()) out += " " + words;
  if (arguments.verify.timeline) out += fmt::format(" --timeline={}", *arguments.verify.timeline);
  return out;
}

// Before the work: what a report says of the input.
Result<VerifyReports> OpenReports(const VerifyArguments& arguments) {
  ASSIGN_OR_RETURN(VerifyReports reports, VerifyReports::Open(arguments.reports));
  if (arguments.reports.files.empty()) return reports;
  const VerifyOptions& verify = arguments.verify;
  ReportFacts& facts = reports.facts();
  const auto option = [&facts](const char* name, const std::string& value) {
    if (!value.empty()) facts.options.emplace_back(name, value);
  };
  for (const std::string& path : arguments.base_backup.paths) option("base-backup", path);
  option("label", arguments.base_backup.options.label);
  option("stanza", arguments.base_backup.options.stanza);
  option("repo-cipher-pass-file", arguments.base_backup.options.cipher_pass_file);
  option("against", arguments.against);
  for (const std::string& directory : verify.wal) option("wal", directory);
  option("restore-command", verify.restore_command);
  option("until", arguments.until);
  if (verify.timeline) option("timeline", std::to_string(*verify.timeline));
  if (verify.quick) option("quick", "yes");
  for (const std::string& name : arguments.only) option("only", name);
  option("ledger", verify.ledger);
  if (verify.reads_all) option("full", "yes");
  if (!arguments.against.empty()) option("patience", fmt::format("{}s", verify.patience.count()));
  if (verify.max_rate > 0) option("max-rate", fmt::format("{}k", verify.max_rate >> 10));
  if (arguments.images) option("images", "yes");
  option("engine", EngineName(verify.engine));
  option("jobs", std::to_string(verify.jobs));
  option("memory", fmt::format("{}MB", verify.memory >> 20));
  return reports;
}

// facts: null where there is no report.
Result<VerifyResult> Compare(const VerifyArguments& arguments, ReportFacts* facts) {
  const auto base = OpenBackup(arguments.base_backup);
  if (facts) facts->backup = IdentityOf(arguments.base_backup.paths.back(), base);
  if (!base) return tl::unexpected(base.error());
  if (arguments.against.empty()) return VerifyBackup(arguments.verify, **base, nullptr);
  SayTablespaces(arguments.against);
  const auto data = OpenComparedWith(arguments.against, {});
  if (facts) facts->cluster = IdentityOf(arguments.against, data);
  if (!data) return tl::unexpected(data.error());
  if (arguments.only.empty()) return VerifyBackup(arguments.verify, **base, data->get());
  ASSIGN_OR_RETURN(const auto wanted,
                   FindOnly(arguments.only, arguments.index, arguments.verify.jobs));
  VerifyOptions options = arguments.verify;
  options.quick = true;
  return VerifyBackup(options, **base, data->get(), &wanted);
}

// Without an exception, so that a report can be written whatever happens.
tl::expected<VerifyResult, Failure> Verify(VerifyArguments arguments, ReportFacts* facts) {
  VerifyOptions& verify = arguments.verify;
  verify.spill_directory = TemporaryDirectory();
  verify.wal_stanza = arguments.base_backup.options.stanza;
  verify.wal_cipher_pass_file = arguments.base_backup.options.cipher_pass_file;
  arguments.base_backup.options.awaits_age = !verify.ledger.empty();
  ProgressBar bar(!arguments.no_progress);
  verify.progress = [&bar](const VerifyProgress& p) { bar.Show(p.phase, p.done, p.total); };
  try {
    auto result = arguments.follow.follow ? Follow(arguments.follow, verify, !arguments.no_progress)
                  : arguments.images      ? VerifyImages(verify)
                                          : Compare(arguments, facts);
    bar.Clear();
    if (!result) return tl::unexpected(Failure(result.error()));
    return std::move(*result);
  } catch (...) {
    return Fail(DescribeException());
  }
}

Outcome Run(VerifyArguments arguments) {
  if (const std::string bad = CheckOptions(arguments); !bad.empty()) return Fail(bad);
  if (!arguments.explain.empty())
    return Explain({arguments.explain, arguments.base_backup, arguments.verify.wal,
                    arguments.verify.restore_command, arguments.verify.timeline, arguments.index,
                    arguments.verify.jobs, arguments.json});
  if (!arguments.against_dbname.empty()) {
    ASSIGN_OR_RETURN(arguments.against, DataDirectoryOf(arguments.against_dbname));
    Say(fmt::format("comparing with \"{}\", the server's data directory", arguments.against));
  }
  TakePgdata(&arguments);
  if (const std::string bad = TakePatience(&arguments); !bad.empty()) return Fail(bad);
  if (!arguments.only.empty() && arguments.against.empty())
    return Fail("--only compares pages: give --against PGDATA");
  ASSIGN_OR_RETURN(VerifyReports reports, OpenReports(arguments));
  const auto result =
      Verify(arguments, arguments.reports.files.empty() ? nullptr : &reports.facts());
  if (!result) {
    const Status written = reports.Write({.failure = &result.error()});
    if (!written) Say("error: " + written.error().message);
    return tl::unexpected(result.error());
  }
  const VerifyReport report{arguments.verify.engine,
                            arguments.verify.jobs,
                            arguments.images || arguments.follow.follow,
                            InputOptions(arguments, result->wal_directories),
                            arguments.verify.quick,
                            arguments.against,
                            arguments.until,
                            arguments.verify.ledger,
                            arguments.only};
  if (arguments.json)
    PrintVerifyJson(report, *result);
  else
    PrintVerifyText(report, *result);
  const ReportedRun run{.report = &report, .result = &*result};
  if (const Status written = reports.Write(run); !written) {
    Failure failure(written.error());
    failure.in_output = true;  // standard output has the result
    return tl::unexpected(std::move(failure));
  }
  return run.status();
}

Status ReadUntil(const std::string& text, VerifyArguments* arguments) {
  VerifyOptions& verify = arguments->verify;
  arguments->until = text;
  verify.until_time.reset();
  verify.until_lsn.reset();
  if (const auto lsn = Lsn::Parse(text)) {
    verify.until_lsn = *lsn;
    return {};
  }
  const auto time = ParseWalTime(text);
  if (!time)
    return MakeError(ErrorCode::kInvalidArgument,
                     "it must be an LSN, such as 16/B374D848, or a time, such as \"2024-05-31 "
                     "14:00:00\" or \"2024-05-31 14:00:00+02\"");
  verify.until_time = *time;
  return {};
}

void AddInputs(Options* options, VerifyArguments* arguments) {
  AddWalDirectories(options, &arguments->verify.wal);
  AddRestoreCommand(options, &arguments->verify.restore_command);
  AddUntestedVersion(options);
  AddBaseBackup(
      options, &arguments->base_backup,
      "base backup where the WAL starts: a directory, a base.tar or the directory with it, "
      "a pgBackRest repository, a Barman server's directory or WAL-G's storage; of an "
      "incremental backup of PostgreSQL give the full one and all after it, the newest last");
  options->Path(
      "--against=PGDATA", &arguments->against,
      "data directory to compare with: of a cluster or standby, whether a server runs on it or not, or a "
      "later base backup. It is only read. (default: $PGDATA; without either, the backup "
      "itself is checked, and WAL is replayed to its end)");
  options->Flag("--quick", &arguments->verify.quick,
                "do not read the base backup as a whole, and compare only what WAL changes");
  options->Path(
      "--ledger=FILE", &arguments->verify.ledger,
      "a file that remembers which files of the backup and which WAL are proven: only what "
      "is new or has changed is read again. It is made if it is not there");
  options
      ->Flag("--full", &arguments->verify.reads_all,
             "read all, whatever the ledger says, and write a new one")
      .Needs("--ledger");
  options->Value(
      "--until=LSN|TIME",
      [arguments](const std::string& text) { return ReadUntil(text, arguments); },
      "end replay where recovery with this recovery_target_lsn or recovery_target_time would stop, "
      "such as 0/3A1F0000 or \"2024-05-31 14:00:00+02\" (without a zone: local time); with "
      "--follow: stop once WAL up to this LSN is verified");
  AddTimeline(options, &arguments->verify.timeline);
  AddRunningOptions(options, &arguments->against_dbname, &arguments->patience,
                    &arguments->verify.max_rate);
  options->Path("--explain=PAGE", &arguments->explain,
                "only print every record that touches this page, such as base/5/16384/7 or "
                "pg_xact/0000/3, from the start of --base-backup if that is given");
  options->TextList(
      "--only=PAGE|RELATION", &arguments->only,
      "compare only this page, such as base/5/16384/7, or all pages of this relation, such "
      "as base/5/16384, and read only the WAL that they need; can be repeated");
  AddIndex(options, &arguments->index);
  options->Flag("--images", &arguments->images,
                "compare each record's page with the image in the record; WAL must have been "
                "written with wal_consistency_checking = 'all'");
}

void AddEngineOptions(Options* options, VerifyArguments* arguments) {
  AddEngine(options, &arguments->verify.engine,
            "what applies records: auto (default): this process, or a sandboxed worker where it "
            "cannot; native: this process, which skips other records; worker");
  AddReplayLimits(options, &arguments->verify.jobs, &arguments->verify.memory);
}

}  // namespace

CommandFunction DeclareVerify(Options* options) {
  auto arguments = std::make_shared<VerifyArguments>();
  options->Usage(
      "[OPTION]... --wal=DIR... --base-backup=PATH [--against=DIR]\n"
      "  neon-redo verify [OPTION]... --wal=DIR... --base-backup=PATH --until=LSN|TIME\n"
      "  neon-redo verify [OPTION]... --wal=DIR... --base-backup=PATH --against=DIR\n"
      "    --only=PAGE|RELATION...\n"
      "  neon-redo verify [OPTION]... --wal=DIR... --images\n"
      "  neon-redo verify [OPTION]... --wal=DIR... --explain=PAGE\n"
      "  neon-redo verify [OPTION]... --follow --dbname=CONNSTR");
  AddInputs(options, arguments.get());
  AddEngineOptions(options, arguments.get());
  AddFormat(options, &arguments->json, "text (default) or json (one object)");
  AddReportOptions(options, &arguments->reports);
  AddNoProgress(options, &arguments->no_progress);
  AddFollowOptions(options, &arguments->follow);
  AddWorkerOptions(options, &arguments->verify.worker);
  options->Notes(
      "The command reads the whole base backup: files and checksums by the backup's\n"
      "manifest, headers and checksums of pages, tablespaces, and the files that\n"
      "pg_control and the catalogues demand. It rebuilds every page that WAL changes, from\n"
      "the base backup to the end of the cluster's WAL. It compares each page with the page\n"
      "on disk, except for what PostgreSQL changes without WAL (hint bits, free space):\n"
      "pages of relations, pg_xact, pg_multixact and pg_commit_ts, relation maps, and which\n"
      "relation files exist. What WAL does not change must be as it is in the backup. With\n"
      "--images, it replays every record alone and compares the result with the image in\n"
      "the record. Beside temporary files, it writes those of --report and --ledger only.\n\n"
      "The exit status is 0 when all pages are equal and the backup is whole, 1 when a page\n"
      "is different or could not be rebuilt or the backup has lost something, and 2 when the\n"
      "input could not be used.\n\n"
      "Examples:\n"
      "  neon-redo verify --base-backup=/backups/monday --wal=/archive \\\n"
      "    --against=/var/lib/postgresql/15/main --patience=1h --max-rate=50M\n"
      "  neon-redo verify --base-backup=/backups/monday --wal=/archive\n"
      "  neon-redo verify --base-backup=/backups/monday \\\n"
      "    --restore-command='pgbackrest --stanza=main archive-get %f %p'\n"
      "  neon-redo verify --base-backup=/backups/monday --wal=/archive \\\n"
      "    --until='2024-05-31 14:00'\n"
      "  neon-redo verify --base-backup=/backups/monday --wal=/archive \\\n"
      "    --report=/reports/monday.html --report=/reports/monday.json\n"
      "  neon-redo verify --base-backup=/backups/monday --wal=/archive \\\n"
      "    --ledger=/var/lib/neon_redo/main.ledger\n"
      "  neon-redo verify --base-backup=/var/lib/pgbackrest --stanza=main \\\n"
      "    --wal=/var/lib/pgbackrest/archive/main\n"
      "  neon-redo verify --base-backup=/backups/monday --wal=/archive \\\n"
      "    --against=/var/lib/postgresql/15/main --only=base/5/16384\n"
      "  neon-redo verify --explain=base/5/16384/7 --wal=/archive\n"
      "  neon-redo verify --images --format=json \\\n"
      "    --wal=/var/lib/postgresql/15/main/pg_wal\n"
      "  neon-redo verify --follow --dbname='host=db1 user=replicator' --metrics=9189\n");
  return [arguments] { return Run(*arguments); };
}

}  // namespace neon_redo::cli
