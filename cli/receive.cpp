// neon-redo receive: WAL from a server into a directory of segments.
#include <fmt/format.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/metrics_option.h"
#include "cli/stop_signal.h"
#include "cli/terminal_line.h"
#include "cpp_core/base/try.h"
#include "cpp_core/metrics/exposer.h"
#include "cpp_core/wal_client/archive.h"
#include "cpp_core/wal_client/stream_metrics.h"

namespace neon_redo::cli {

namespace {

using std::chrono::milliseconds;

struct Options {
  std::string dbname;
  std::string wal;
  std::string slot;
  bool create_slot = false;
  bool synchronous = false;
  std::string compress;
  std::string until;
  double status_interval = 10;
  double stall_timeout = 60;
  std::string metrics;
  bool no_progress = false;
};

void Say(const std::string& message) { fmt::print(stderr, "neon-redo receive: {}\n", message); }

int Trouble(const std::string& message) {
  Say("error: " + message);
  return kExitTrouble;
}

// "0/3A1F0000, timeline 1, 81.2 MB/s, 12.0 MB behind", once a second.
class Progress {
 public:
  explicit Progress(bool wanted) : line_(wanted) {}

  void Show(WalArchive* archive) {
    if (!line_.Due(milliseconds(1000))) return;
    const auto now = std::chrono::steady_clock::now();
    const Lsn at = archive->writer().written();
    const std::chrono::duration<double> passed = now - last_;
    const double rate = last_at_.valid() ? static_cast<double>(at - last_at_) / passed.count() : 0;
    const Lsn end = archive->stream().server_end();
    const uint64_t behind = end > at ? end - at : 0;
    line_.Show(fmt::format("{}, timeline {}, {:.1f} MB/s, {:.1f} MB behind{}", at.ToString(),
                           archive->stream().timeline(), rate / 1e6,
                           static_cast<double>(behind) / 1e6,
                           archive->stream().connected() ? "" : ", not connected"));
    last_ = now;
    last_at_ = at;
  }

  void Clear() { line_.Clear(); }

 private:
  TerminalLine line_;
  std::chrono::steady_clock::time_point last_{};
  Lsn last_at_;
};

// Nothing without --metrics.
class Metrics {
 public:
  Status Open(const Options& options) {
    if (options.metrics.empty()) return {};
    ASSIGN_OR_RETURN(auto exposer, MetricsExposer::Open(options.metrics));
    exposer_ = std::move(exposer);
    stream_.emplace(&exposer_->registry(), options.slot);
    writer_.emplace(&exposer_->registry(), options.slot);
    Say(fmt::format("metrics on port {}", exposer_->port()));
    return {};
  }

  void Update(WalArchive* archive) {
    if (!exposer_) return;
    const SegmentWriter& writer = archive->writer();
    stream_->Update(&archive->stream(), writer.written(), writer.flushed());
    writer_->Update(writer);
  }

 private:
  std::unique_ptr<MetricsExposer> exposer_;
  std::optional<StreamMetrics> stream_;
  std::optional<WriterMetrics> writer_;
};

Result<ArchiveOptions> MakeArchiveOptions(const Options& options) {
  ArchiveOptions out;
  out.stream.receiver.connect.conninfo = options.dbname;
  out.stream.receiver.status_interval =
      milliseconds(static_cast<int64_t>(options.status_interval * 1000));
  out.stream.receiver.stall_timeout =
      milliseconds(static_cast<int64_t>(options.stall_timeout * 1000));
  out.directory = options.wal;
  if (!options.slot.empty()) out.slot = options.slot;
  out.create_slot = options.create_slot;
  out.synchronous = options.synchronous;
  if (options.compress == "lz4") out.compression = Compression::kLz4;
  if (options.compress == "zstd") out.compression = Compression::kZstd;
  if (!options.until.empty()) {
    ASSIGN_OR_RETURN(const auto until, Lsn::Parse(options.until));
    out.until = until;
  }
  return out;
}

// Until it is stopped, done or stuck; what it says then is the caller's.
Status Loop(WalArchive* archive, Progress* progress, Metrics* metrics) {
  for (;;) {
    const auto done = archive->Step(milliseconds(500));
    progress->Show(archive);
    metrics->Update(archive);
    if (!done && done.error().code != ErrorCode::kShutdown) return tl::unexpected(done.error());
    if (!done || *done) return {};
  }
}

int Run(const Options& options) {
  // Payloads are malloc'ed by libpq, up to 128 KiB each. glibc would fetch and return such memory
  // from and to the kernel every time, and clear its pages again.
  mallopt(M_MMAP_THRESHOLD, 64 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);

  auto archive_options = MakeArchiveOptions(options);
  if (!archive_options) return Trouble(archive_options.error().message);
  Progress progress(!options.no_progress);
  archive_options->stream.on_event = [&progress](const std::string& event) {
    progress.Clear();
    Say(event);
  };
  const CancelSignal& stop = StopOnSignals();
  Metrics metrics;
  const Status served = metrics.Open(options);
  if (!served) return Trouble(served.error().message);
  auto opened = WalArchive::Open(std::move(*archive_options), stop);
  if (!opened) {
    if (opened.error().code == ErrorCode::kShutdown) return kExitFine;
    return Trouble(opened.error().message);
  }
  WalArchive* const archive = opened->get();
  Say(fmt::format("receiving into \"{}\" from {}, timeline {}", options.wal,
                  archive->start().ToString(), archive->stream().timeline()));
  Status outcome = Loop(archive, &progress, &metrics);
  progress.Clear();
  const Status closed = archive->Close();
  if (outcome && !closed) outcome = closed;
  const std::string at = archive->writer().flushed().ToString();
  if (!outcome) return Trouble(fmt::format("{} (on disk up to {})", outcome.error().message, at));
  Say(fmt::format("stopped at {}", at));
  return kExitFine;
}

}  // namespace

void AddReceive(CLI::App* app, int* exit_status) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app->add_subcommand("receive", "Receive WAL from a server into a directory of segment files");
  command
      ->add_option("--dbname", options->dbname,
                   "connection string; libpq's defaults, environment, service files and "
                   ".pgpass apply")
      ->type_name("CONNINFO");
  command->add_option("--wal", options->wal, "directory for the segments; it must exist")
      ->type_name("DIR")
      ->required();
  auto* slot = command->add_option("--slot", options->slot,
                                   "physical replication slot: the server keeps WAL until it is "
                                   "on disk here");
  command->add_flag("--create-slot", options->create_slot, "make the slot unless it exists")
      ->needs(slot);
  command->add_flag("--synchronous", options->synchronous,
                    "flush WAL as it comes and report at once (for synchronous_standby_names)");
  command
      ->add_option("--compress", options->compress,
                   "compress complete segments: lz4 (NAME.lz4) or zstd (NAME.zst)")
      ->check(CLI::IsMember({"lz4", "zstd"}));
  command->add_option("--until", options->until, "stop once WAL up to here is on disk")
      ->type_name("LSN");
  command
      ->add_option("--status-interval", options->status_interval,
                   "seconds between status messages to the server")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option("--stall-timeout", options->stall_timeout,
                   "reconnect when the server is silent for so many seconds; 0: never")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  AddMetricsOption(command, &options->metrics);
  command->add_flag("--no-progress", options->no_progress, "no progress line on the terminal");
  command->footer(
      "SIGINT and SIGTERM stop it in order. A lost connection is made again; a first one is not.\n"
      "Exit status: 0 stopped or --until reached, 2 anything else.\n\n"
      "Example:\n"
      "  neon-redo receive --dbname 'host=db1 user=replicator' --wal /archive/wal \\\n"
      "    --slot archive --create-slot --compress zstd");
  command->callback([options, exit_status] { *exit_status = Run(*options); });
}

}  // namespace neon_redo::cli
