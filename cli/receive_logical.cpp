// neon-redo receive-logical: changes from a logical slot to standard output, a line each.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/metrics_option.h"
#include "cli/stop_signal.h"
#include "cpp_core/base/try.h"
#include "cpp_core/metrics/exposer.h"
#include "cpp_core/wal_client/logical_lines.h"
#include "cpp_core/wal_client/stream.h"
#include "cpp_core/wal_client/stream_metrics.h"

namespace neon_redo::cli {

namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string dbname;
  std::string slot;
  bool create_slot = false;
  std::string plugin = "pgoutput";
  std::string publications;
  int protocol = 4;
  std::string streaming = "off";
  bool two_phase = false;
  bool messages = false;
  std::vector<std::string> plugin_options;
  std::string start;
  std::string until;
  double status_interval = 10;
  std::string metrics;
};

void Say(const std::string& message) {
  fmt::print(stderr, "neon-redo receive-logical: {}\n", message);
}

int Trouble(const std::string& message) {
  Say("error: " + message);
  return kExitTrouble;
}

// Standard output, and how much of it is safe: in a file what fsync covered, else what was written.
class Output {
 public:
  Output() {
    struct stat st;
    is_file_ = fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode);
  }

  Status Write(std::string* text) {
    for (size_t done = 0; done < text->size();) {
      const ssize_t n = write(STDOUT_FILENO, text->data() + done, text->size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0)
        return MakeError(ErrorCode::kIo, fmt::format("could not write to standard output: {}",
                                                     std::strerror(errno)));
      done += static_cast<size_t>(n);
    }
    unwritten_ += text->size();
    text->clear();
    if (is_file_ && unwritten_ >= kWriteBack) {
      // Begins to write the file to the disk, and does not wait; errors show in Flush.
      static_cast<void>(sync_file_range(STDOUT_FILENO, 0, 0, SYNC_FILE_RANGE_WRITE));
      unwritten_ = 0;
    }
    return {};
  }

  Status Flush() const {
    if (is_file_ && fdatasync(STDOUT_FILENO) != 0)
      return MakeError(ErrorCode::kIo,
                       fmt::format("could not flush standard output: {}", std::strerror(errno)));
    return {};
  }

  bool is_file() const { return is_file_; }

 private:
  // The stream stands while Flush waits for the disk, so the disk is kept at work before.
  static constexpr size_t kWriteBack = size_t{2} << 20;

  size_t unwritten_ = 0;
  bool is_file_ = false;
};

Result<PluginOptions> MakePluginOptions(const Options& options, int server_version) {
  PluginOptions out;
  if (options.plugin == "pgoutput") {
    const int newest = server_version >= 160000   ? 4
                       : server_version >= 150000 ? 3
                       : server_version >= 140000 ? 2
                                                  : 1;
    out.emplace_back("proto_version", std::to_string(std::min(options.protocol, newest)));
    out.emplace_back("publication_names", options.publications);
    if (options.streaming != "off") out.emplace_back("streaming", options.streaming);
    if (options.two_phase) out.emplace_back("two_phase", "on");
    if (options.messages) out.emplace_back("messages", "on");
  }
  for (const std::string& option : options.plugin_options) {
    const size_t equals = option.find('=');
    out.emplace_back(option.substr(0, equals),
                     equals == std::string::npos ? "" : option.substr(equals + 1));
  }
  return out;
}

Status Start(const Options& options, WalStream* stream, Lsn start) {
  RETURN_IF_ERROR(stream->Connect());
  if (options.create_slot) {
    SlotSpec spec;
    spec.name = options.slot;
    spec.plugin = options.plugin;
    spec.two_phase = options.two_phase;
    const auto created = stream->receiver().CreateSlot(spec);
    if (!created && stream->receiver().server_error().sqlstate != "42710")
      return tl::unexpected(created.error());
  }
  ASSIGN_OR_RETURN(const auto plugin_options,
                   MakePluginOptions(options, stream->receiver().server_version()));
  return stream->StartLogical(options.slot, start, plugin_options);
}

// One round: lines out, then what the server may forget. Returns whether it is done.
class Loop {
 public:
  Loop(const Options& options, WalStream* stream, Lsn until, StreamMetrics* metrics)
      : stream_(stream),
        metrics_(metrics),
        until_(until),
        interval_(milliseconds(static_cast<int64_t>(options.status_interval * 1000))),
        lines_(options.plugin == "pgoutput" ? LogicalLines::Format::kPgoutputJson
                                            : LogicalLines::Format::kText) {}

  Result<bool> Step() {
    ASSIGN_OR_RETURN(const auto step, stream_->Next(&batch_, milliseconds(500)));
    if (step == WalStream::Step::kReconnected) lines_.Reconnected(&text_);
    bool reply = false;
    bool done = false;
    for (const ServerMessage& message : batch_.messages()) {
      if (const auto* keepalive = std::get_if<Keepalive>(&message)) {
        reply = reply || keepalive->reply_requested;
        lines_.Add(*keepalive);
      } else {
        RETURN_IF_ERROR(lines_.Add(std::get<XLogData>(message), &text_));
      }
      done = until_.valid() && lines_.confirmable() >= until_;
      if (done) break;
    }
    const Status written = output_.Write(&text_);
    if (!written) return tl::unexpected(written.error());
    RETURN_IF_ERROR(Confirm(reply || done));
    if (metrics_) {
      const Positions positions = stream_->receiver().positions();
      metrics_->Update(stream_, positions.written, positions.flushed);
    }
    return done;
  }

  Status Confirm(bool now) {
    const Lsn at = lines_.confirmable();
    const bool due = Clock::now() - flushed_ >= interval_;
    if (output_.is_file() && !now && !due) {
      stream_->receiver().SetPositions({at, Lsn(), Lsn()});
      return {};
    }
    RETURN_IF_ERROR(output_.Flush());
    flushed_ = Clock::now();
    stream_->receiver().SetPositions({at, at, at});
    if (now) static_cast<void>(stream_->receiver().SendStatus());
    return {};
  }

 private:
  WalStream* const stream_;
  StreamMetrics* const metrics_;  // or null
  const Lsn until_;
  const milliseconds interval_;
  LogicalLines lines_;
  MessageBatch batch_;
  std::string text_;
  Output output_;
  Clock::time_point flushed_ = Clock::now();
};

StreamOptions MakeStreamOptions(const Options& options) {
  StreamOptions out;
  out.receiver.connect.conninfo = options.dbname;
  out.receiver.connect.logical = true;
  out.receiver.status_interval = milliseconds(static_cast<int64_t>(options.status_interval * 1000));
  out.on_event = Say;
  return out;
}

int Run(const Options& options) {
  Lsn start;
  Lsn until;
  for (const auto& [text, lsn] : {std::pair(&options.start, &start), {&options.until, &until}}) {
    if (text->empty()) continue;
    const auto parsed = Lsn::Parse(*text);
    if (!parsed) return Trouble(parsed.error().message);
    *lsn = *parsed;
  }
  if (options.plugin == "pgoutput" && options.publications.empty())
    return Trouble("pgoutput needs --publication");
  std::unique_ptr<MetricsExposer> exposer;
  std::optional<StreamMetrics> metrics;
  if (!options.metrics.empty()) {
    auto opened = MetricsExposer::Open(options.metrics);
    if (!opened) return Trouble(opened.error().message);
    exposer = std::move(*opened);
    metrics.emplace(&exposer->registry(), options.slot);
    Say(fmt::format("metrics on port {}", exposer->port()));
  }
  WalStream stream(MakeStreamOptions(options), StopOnSignals());
  const Status started = Start(options, &stream, start);
  if (!started) {
    if (started.error().code == ErrorCode::kShutdown) return kExitFine;
    return Trouble(started.error().message);
  }
  Loop loop(options, &stream, until, metrics ? &*metrics : nullptr);
  for (;;) {
    const auto done = loop.Step();
    if (!done && done.error().code != ErrorCode::kShutdown) return Trouble(done.error().message);
    if (!done || *done) break;
  }
  const Status confirmed = loop.Confirm(true);
  if (!confirmed) return Trouble(confirmed.error().message);
  static_cast<void>(stream.End());
  return kExitFine;
}

}  // namespace

void AddReceiveLogical(CLI::App* app, int* exit_status) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand(
      "receive-logical", "Print the changes of a logical replication slot, a line each");
  command
      ->add_option("--dbname", options->dbname,
                   "connection string, with the database; libpq's defaults apply")
      ->type_name("CONNINFO");
  command->add_option("--slot", options->slot, "logical replication slot")->required();
  command->add_flag("--create-slot", options->create_slot, "make the slot unless it exists");
  command
      ->add_option("--plugin", options->plugin,
                   "output plug-in: pgoutput (printed as JSON), or one that writes text")
      ->capture_default_str();
  command
      ->add_option("--publication", options->publications,
                   "publications for pgoutput, separated by commas")
      ->type_name("NAMES");
  command
      ->add_option("--protocol", options->protocol, "highest pgoutput protocol version to ask for")
      ->check(CLI::Range(1, 4))
      ->capture_default_str();
  command
      ->add_option("--streaming", options->streaming, "send large transactions before they commit")
      ->check(CLI::IsMember({"off", "on", "parallel"}))
      ->capture_default_str();
  command->add_flag("--two-phase", options->two_phase, "send transactions when they are prepared");
  command->add_flag("--messages", options->messages, "include pg_logical_emit_message");
  command->add_option("-o,--option", options->plugin_options, "further option of the plug-in")
      ->type_name("NAME[=VALUE]");
  command->add_option("--start", options->start, "start here instead of where the slot is")
      ->type_name("LSN");
  command->add_option("--until", options->until, "stop once changes up to here are out")
      ->type_name("LSN");
  command
      ->add_option("--status-interval", options->status_interval,
                   "seconds between status messages to the server")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  AddMetricsOption(command, &options->metrics);
  command->footer(
      "What was written is confirmed to the slot at the end of each transaction; into a file, "
      "what\n"
      "was flushed. Exit status: 0 stopped or --until reached, 2 anything else.\n\n"
      "Example:\n"
      "  neon-redo receive-logical --dbname 'host=db1 dbname=app' --slot cdc --create-slot \\\n"
      "    --publication app_changes");
  command->callback([options, exit_status] { *exit_status = Run(*options); });
}

}  // namespace neon_redo::cli
