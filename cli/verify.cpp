// neon-redo verify: rebuilds pages from WAL and compares them, with the images in the WAL itself or
// with a cluster's files.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "cli/verify_follow.h"
#include "cli/verify_report.h"
#include "cpp_core/pg/page_name.h"
#include "cpp_core/store/slru_page.h"
#include "cpp_core/verify/data_directory.h"
#include "cpp_core/verify/explain.h"
#include "neon_redo/verify.h"

namespace neon_redo::cli {

namespace {

struct Options {
  VerifyOptions verify;
  FollowArguments follow;
  std::string memory;
  bool images = false;
  std::string base_backup;
  std::string against;
  std::string explain;
  std::string engine = "auto";
  std::string format = "text";
  bool no_progress = false;
  bool no_sandbox = false;
};

int Trouble(const std::string& message) {
  fmt::print(stderr, "neon-redo verify: error: {}\n", message);
  return kExitTrouble;
}

// One line that says what to do; empty when the options fit together.
std::string CheckOptions(const Options& options) {
  if (options.follow.follow)
    return options.images || !options.base_backup.empty() || !options.against.empty() ||
                   !options.verify.wal.empty()
               ? "--follow takes its WAL from a server: leave out --wal, --images, --base-backup "
                 "and --against"
               : "";
  if (options.verify.wal.empty())
    return "give --wal DIR, or --follow --dbname CONNINFO for a running server";
  if (!options.explain.empty())
    return options.images ? "--explain lists the records of a page: leave out --images" : "";
  if (options.images && (!options.base_backup.empty() || !options.against.empty()))
    return "--images compares with the WAL's own images: leave out --base-backup and --against";
  if (!options.images && options.base_backup.empty())
    return "give --base-backup DIR (and --against PGDATA, to compare with it), or --images for WAL "
           "written with wal_consistency_checking = 'all'";
  return "";
}

// "512MB", "4GB", "64kB"; a bare number is MB. False: not a size, or too small to work with.
bool ReadSize(const std::string& text, uint64_t* bytes) {
  char* end = nullptr;
  errno = 0;
  const uint64_t number = std::strtoull(text.c_str(), &end, 10);
  const std::string unit = end;
  const int shift = unit == "kB" ? 10 : unit == "MB" || unit.empty() ? 20 : unit == "GB" ? 30 : -1;
  if (end == text.c_str() || text[0] == '-' || errno != 0 || shift < 0 || number > 1u << 30)
    return false;
  *bytes = number << shift;
  return *bytes >= uint64_t{16} << 20;
}

// A quarter of the machine's memory, as the server's manual says of shared_buffers.
uint64_t DefaultMemory() {
  const auto pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  const uint64_t quarter = pages > 0 && size > 0 ? uint64_t(pages) * uint64_t(size) / 4 : 0;
  return std::max(quarter, uint64_t{256} << 20);
}

// Prints the records that touch the page.
int Explain(const Options& options) {
  const auto page = ParsePageName(options.explain);
  if (!page) return Trouble("--explain: " + page.error().message);
  WalReaderOptions wal{options.verify.wal, {}, {}, {}};
  bool track_commit_timestamp = false;
  if (!options.base_backup.empty()) {
    const auto label = ReadBackupLabel(options.base_backup);
    if (!label) return Trouble(label.error().message);
    wal.from = label->start;
    track_commit_timestamp = HasCommitTimestamps(options.base_backup);
  }
  const bool json = options.format == "json";
  const auto found = ExplainPage(
      wal, track_commit_timestamp, *page,
      [&](const std::string& record, const std::string& change) {
        if (json)
          fmt::print("{}\n",
                     nlohmann::ordered_json({{"record", record}, {"change", change}})
                         .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
        else
          fmt::print("{}\n    {}\n", record, change);
      });
  if (!found) return Trouble(found.error().message);
  if (!json) fmt::print("{} changes of {}\n", Grouped(*found), page->Describe());
  if (std::fflush(stdout) != 0) return Trouble("could not write to stdout");
  return kExitFine;
}

int Run(Options options) {
  if (const char* pgdata = std::getenv("PGDATA");
      pgdata != nullptr && !options.images && !options.follow.follow && options.against.empty())
    options.against = pgdata;
  if (const std::string bad = CheckOptions(options); !bad.empty()) return Trouble(bad);
  if (!options.explain.empty()) return Explain(options);
  if (!options.memory.empty() && !ReadSize(options.memory, &options.verify.memory))
    return Trouble(fmt::format("--memory {}: give a size such as 512MB or 4GB, at least 16MB",
                               options.memory));
  if (const char* directory = std::getenv("TMPDIR"); directory != nullptr && *directory != '\0')
    options.verify.spill_directory = directory;
  options.verify.engine = options.engine == "native"   ? Engine::kNative
                          : options.engine == "worker" ? Engine::kWorker
                                                       : Engine::kAuto;
  options.verify.worker.sandbox = !options.no_sandbox;
  ProgressBar bar(!options.no_progress);
  options.verify.progress = [&bar](const VerifyProgress& p) { bar.Show(p.phase, p.done, p.total); };
  auto result = options.follow.follow ? Follow(options.follow, options.verify, !options.no_progress)
                : options.images
                    ? VerifyImages(options.verify)
                    : VerifyCluster(options.verify, options.base_backup, options.against);
  bar.Clear();
  if (!result) return Trouble(result.error().message);
  const VerifyReport report{options.verify.engine, options.verify.jobs,
                            options.images || options.follow.follow, !options.against.empty()};
  if (options.format == "json")
    PrintVerifyJson(report, *result);
  else
    PrintVerifyText(report, *result);
  if (std::fflush(stdout) != 0) return Trouble("could not write to stdout");
  return result->mismatches.empty() ? kExitFine : kExitDifference;
}

void AddInputs(CLI::App* command, Options* options) {
  command
      ->add_option("--wal", options->verify.wal, "Directory of WAL segments, or a data directory")
      ->type_name("DIR");
  command
      ->add_option("--base-backup", options->base_backup,
                   "Base backup as pg_basebackup left it: where the WAL begins")
      ->type_name("DIR");
  command
      ->add_option("--against", options->against,
                   "Data directory of the cluster, shut down, or a later base backup, to compare "
                   "with; only read (default: $PGDATA; when neither is given WAL is replayed to "
                   "its end, and "
                   "nothing compared)")
      ->type_name("PGDATA");
  command
      ->add_option("--explain", options->explain,
                   "Only print every record that touches this page, such as base/5/16384/7 or "
                   "pg_xact/0000/3, from --base-backup's start if that is given")
      ->type_name("PAGE");
  command->add_flag("--images", options->images,
                    "Compare each record's page with the image in the record; needs WAL written "
                    "with wal_consistency_checking = 'all' and nothing else");
}

void AddEngine(CLI::App* command, Options* options) {
  WorkerOptions& worker = options->verify.worker;
  command
      ->add_option("--engine", options->engine,
                   "Who applies records: auto (default: this process what it can, the rest a "
                   "sandboxed worker), native (this process; the rest is skipped), worker")
      ->check(CLI::IsMember({"auto", "native", "worker"}))
      ->type_name("NAME");
  command
      ->add_option("--jobs", options->verify.jobs,
                   "Threads, each with a worker when one is needed (default: one a core)")
      ->check(CLI::Range(1, 256))
      ->type_name("N");
  command
      ->add_option("--memory", options->memory,
                   "Memory to keep to, such as 512MB; pages that do not fit go to a temporary file "
                   "in $TMPDIR or /tmp (default: a quarter of the machine's memory)")
      ->type_name("SIZE");
  command
      ->add_option("--bindir", worker.bindir,
                   "Directory of the server's programs (default: " NEON_REDO_DEFAULT_BINDIR ")")
      ->type_name("DIR");
  command->add_option("--module", worker.module, "Path of neon.so (default: the installed one)")
      ->type_name("FILE");
  command
      ->add_option("--worker-command", worker.command,
                   "Shell command of another worker of the protocol, to use instead")
      ->type_name("CMD");
  command->add_flag("--no-sandbox", options->no_sandbox,
                    "Debugging only: the WAL could do anything that the user may");
}

}  // namespace

void AddVerify(CLI::App* app, int* exit_status) {
  auto options = std::make_shared<Options>();
  options->verify.memory = DefaultMemory();
  options->verify.jobs = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  CLI::App* command =
      app->add_subcommand("verify", "Rebuild pages from WAL and compare them with the real ones");
  AddInputs(command, options.get());
  AddFollowOptions(command, &options->follow);
  AddEngine(command, options.get());
  command->add_option("--format", options->format, "text (default) or json (one object)")
      ->check(CLI::IsMember({"text", "json"}))
      ->type_name("FORMAT");
  command->add_flag("--no-progress", options->no_progress,
                    "No progress bar (there is none anyway unless stderr is a terminal)");
  command->footer(
      "Every page that the WAL touches is rebuilt, from the base backup to the cluster's "
      "shutdown,\n"
      "and compared with the page on disk but for what PostgreSQL changes without WAL (hint bits,\n"
      "free space): relations, pg_xact, pg_multixact, pg_commit_ts; and relation maps and which\n"
      "relation files there are. With --images every record is replayed alone and compared with "
      "the\n"
      "image it carries. Nothing is written.\n\n"
      "Ends with status 0 when all are equal, 1 when a page differs or could not be rebuilt, 2 "
      "when\n"
      "the input cannot be used.\n\n"
      "Examples:\n"
      "  pg_ctl stop -D /var/lib/postgresql/15/main\n"
      "  neon-redo verify --base-backup /backups/monday --wal /archive \\\n"
      "    --against /var/lib/postgresql/15/main\n"
      "  neon-redo verify --base-backup /backups/monday --wal /archive\n"
      "  neon-redo verify --explain base/5/16384/7 --wal /archive\n"
      "  neon-redo verify --images --wal /var/lib/postgresql/15/main/pg_wal --format json\n"
      "  neon-redo verify --follow --dbname 'host=db1 user=replicator' --metrics 9189\n");
  command->callback([options, exit_status] { *exit_status = Run(*options); });
}

}  // namespace neon_redo::cli
