// neon-redo receive: WAL from a server into a directory of segments.
#include <fmt/format.h>
#include <malloc.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/receive_index.h"
#include "cli/stop_signal.h"
#include "cli/terminal_line.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/tested_version.h"
#include "cpp_core/wal_client/stream_metrics.h"
#include "neon_redo/metrics.h"
#include "neon_redo/receiver.h"

namespace neon_redo::cli {

namespace {

using std::chrono::milliseconds;

struct ReceiveArguments {
  std::string dbname;
  std::string wal;
  std::string index;
  std::string slot;
  bool create_slot = false;
  bool synchronous = false;
  Compression compression = Compression::kNone;
  std::optional<Lsn> until;
  std::chrono::duration<double> status_interval{10};
  std::chrono::duration<double> stall_timeout{60};
  std::string metrics;
  bool no_progress = false;
};

// "0/3A1F0000, timeline 1, 81.2 MB/s, 12.0 MB behind, index 16.8 MB behind", once a second.
class Progress {
 public:
  explicit Progress(bool wanted) : line_(wanted) {}

  // index: null if there is none.
  void Show(WalArchive* archive, const ReceiveIndex* index) {
    if (!line_.Due(milliseconds(1000))) return;
    const auto now = std::chrono::steady_clock::now();
    const Lsn at = archive->written();
    const std::chrono::duration<double> passed = now - last_;
    const double rate = last_at_.valid() ? static_cast<double>(at - last_at_) / passed.count() : 0;
    const Lsn end = archive->stream().server_end();
    const uint64_t behind = end > at ? end - at : 0;
    line_.Show(fmt::format("{}, timeline {}, {:.1f} MB/s, {:.1f} MB behind{}{}", at.ToString(),
                           archive->stream().timeline(), rate / 1e6,
                           static_cast<double>(behind) / 1e6, IndexText(index),
                           archive->stream().connected() ? "" : ", not connected"));
    last_ = now;
    last_at_ = at;
  }

  void Clear() { line_.Clear(); }

 private:
  static std::string IndexText(const ReceiveIndex* index) {
    if (index == nullptr || !index->indexed().valid()) return "";
    return fmt::format(", index {:.1f} MB behind", static_cast<double>(index->behind()) / 1e6);
  }

  TerminalLine line_;
  std::chrono::steady_clock::time_point last_{};
  Lsn last_at_;
};

// Nothing without --metrics.
class ReceiveMetrics {
 public:
  Status Open(const ReceiveArguments& arguments) {
    if (arguments.metrics.empty()) return {};
    ASSIGN_OR_RETURN(auto exposer, MetricsExposer::Open(arguments.metrics));
    exposer_ = std::move(exposer);
    stream_.emplace(*exposer_->registry(), arguments.slot);
    writer_.emplace(*exposer_->registry(), arguments.slot);
    if (!arguments.index.empty()) index_.emplace(*exposer_->registry(), arguments.slot);
    Say(fmt::format("metrics on port {}", exposer_->port()));
    return {};
  }

  void Update(WalArchive* archive, const ReceiveIndex* index) {
    if (!exposer_) return;
    if (index_ && index != nullptr)
      index_->Update(index->indexed(), index->behind(), index->failures());
    stream_->Update(&archive->stream(), archive->written(), archive->flushed());
    writer_->Update(archive->counts());
  }

 private:
  std::unique_ptr<MetricsExposer> exposer_;
  std::optional<StreamMetrics> stream_;
  std::optional<WriterMetrics> writer_;
  std::optional<IndexMetrics> index_;
};

ArchiveOptions MakeArchiveOptions(const ReceiveArguments& arguments) {
  ArchiveOptions out;
  out.stream.receiver.connect.conninfo = arguments.dbname;
  out.stream.receiver.status_interval = ToMilliseconds(arguments.status_interval);
  out.stream.receiver.stall_timeout = ToMilliseconds(arguments.stall_timeout);
  out.directory = arguments.wal;
  if (!arguments.slot.empty()) out.slot = arguments.slot;
  out.create_slot = arguments.create_slot;
  out.synchronous = arguments.synchronous;
  out.compression = arguments.compression;
  out.until = arguments.until;
  return out;
}

// Until it is stopped, done or stuck; what it says then is the caller's.
Status ReceiveSegments(WalArchive* archive, ReceiveIndex* index, Progress* progress,
                       ReceiveMetrics* metrics) {
  for (;;) {
    const auto done = archive->Step(milliseconds(500));
    if (index != nullptr) index->Step(ReceiveIndex::Clock::now());
    progress->Show(archive, index);
    metrics->Update(archive, index);
    if (!done && done.error().code != ErrorCode::kCancelled) return tl::unexpected(done.error());
    if (!done || *done) return {};
  }
}

// Null without --index.
std::unique_ptr<ReceiveIndex> MakeIndex(const ReceiveArguments& arguments, Progress* progress) {
  if (arguments.index.empty()) return nullptr;
  const bool serves_all = pg::CheckTested(*pg::FindVersionByMajor(16), "").has_value();
  return std::make_unique<ReceiveIndex>(
      ReceiveIndexOptions{.program = "/proc/self/exe",
                          .wal = arguments.wal,
                          .directory = arguments.index,
                          .untested_versions = serves_all,
                          .say = [progress](const std::string& line) {
                            progress->Clear();
                            Say(line);
                          }});
}

Outcome Run(const ReceiveArguments& arguments) {
  // Payloads are malloc'ed by libpq, up to 128 KiB each. glibc would fetch and return such memory
  // from and to the kernel every time, and clear its pages again.
  mallopt(M_MMAP_THRESHOLD, 64 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);

  ArchiveOptions archive_options = MakeArchiveOptions(arguments);
  Progress progress(!arguments.no_progress);
  archive_options.stream.on_event = [&progress](const std::string& event) {
    progress.Clear();
    Say(event);
  };
  const auto index = MakeIndex(arguments, &progress);
  if (index)
    archive_options.on_complete = [&index](Lsn end) {
      index->Complete(end, ReceiveIndex::Clock::now());
    };
  const CancelSignal& stop = StopOnSignals();
  ReceiveMetrics metrics;
  RETURN_IF_ERROR(metrics.Open(arguments));
  auto opened = WalArchive::Open(std::move(archive_options), stop);
  if (!opened) {
    if (opened.error().code == ErrorCode::kCancelled) return kExitFine;
    return tl::unexpected(opened.error());
  }
  WalArchive* const archive = opened->get();
  Say(fmt::format("receiving into \"{}\" from {}, timeline {}", arguments.wal,
                  archive->start().ToString(), archive->stream().timeline()));
  Status outcome = ReceiveSegments(archive, index.get(), &progress, &metrics);
  progress.Clear();
  const Status closed = archive->Close();
  if (outcome && !closed) outcome = closed;
  const std::string at = archive->flushed().ToString();
  if (!outcome) return Fail(fmt::format("{} (on disk up to {})", outcome.error().message, at));
  Say(fmt::format("stopped at {}", at));
  return kExitFine;
}

}  // namespace

CommandFunction DeclareReceive(Options* options) {
  auto arguments = std::make_shared<ReceiveArguments>();
  options->Usage("[OPTION]... --wal=DIR");
  AddConnection(options, &arguments->dbname);
  options->Path("--wal=DIR", &arguments->wal, "directory for the segments; it must exist")
      .Required();
  AddUntestedVersion(options);
  options->Text("--slot=SLOTNAME", &arguments->slot,
                "physical replication slot: the server keeps WAL until it is on disk here");
  options->Flag("--create-slot", &arguments->create_slot, "create the slot unless it exists")
      .Needs("--slot");
  options->Flag("--synchronous", &arguments->synchronous,
                "flush WAL as soon as it arrives and report that at once, for "
                "synchronous_standby_names");
  options->Choice<Compression>("--compress=METHOD", &arguments->compression,
                               {{"lz4", Compression::kLz4}, {"zstd", Compression::kZstd}},
                               "compress complete segments: lz4 (NAME.lz4) or zstd (NAME.zst)");
  options->Path(
      "--index=DIR", &arguments->index,
      "index complete segments in this directory, as neon-redo index does, by a process with low "
      "priority");
  AddUntil(options, &arguments->until, "stop once WAL up to this LSN is on disk");
  AddStatusInterval(options, &arguments->status_interval, kNoTime);
  AddStallTimeout(options, &arguments->stall_timeout);
  AddMetrics(options, &arguments->metrics);
  AddNoProgress(options, &arguments->no_progress);
  options->Notes(
      "SIGINT and SIGTERM stop the command in order. When a connection is lost, the\n"
      "command connects again; when the first connection fails, it ends. The exit status\n"
      "is 0 when the command was stopped or reached --until, and 2 otherwise.\n\n"
      "Example:\n"
      "  neon-redo receive --dbname='host=db1 user=replicator' --wal=/archive/wal \\\n"
      "    --slot=archive --create-slot --compress=zstd\n");
  return [arguments] { return Run(*arguments); };
}

}  // namespace neon_redo::cli
