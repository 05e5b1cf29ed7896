// neon-redo receive-logical: changes from a logical slot to standard output, a line each.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/foreign_text.h"
#include "cli/stop_signal.h"
#include "cpp_core/base/try.h"
#include "cpp_core/wal_client/logical_lines.h"
#include "cpp_core/wal_client/stream_metrics.h"
#include "neon_redo/metrics.h"
#include "neon_redo/receiver.h"

namespace neon_redo::cli {

namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

struct ReceiveLogicalArguments {
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
  std::optional<Lsn> start;
  std::optional<Lsn> until;
  std::chrono::duration<double> status_interval{10};
  std::chrono::duration<double> stall_timeout{60};
  uint64_t max_message_size = ReceiverOptions().max_message_bytes;
  std::string metrics;
};

// Standard output, and how much of it is safe: in a file what fsync covered, else what was written.
class Output {
 public:
  Output() {
    struct stat st;
    is_file_ = fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode);
  }

  Status Write(std::string* text) {
    // A plug-in's text may hold a terminal's commands.
    if (is_terminal_) *text = PrintableLines(*text);
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

  // After a failed flush each later one fails with the same error: the kernel reports an error of
  // writing back only once.
  Status Flush() {
    RETURN_IF_ERROR(kept_);
    if (is_file_ && fdatasync(STDOUT_FILENO) != 0)
      kept_ = MakeError(ErrorCode::kIo,
                        fmt::format("could not flush standard output: {}", std::strerror(errno)));
    return kept_;
  }

  bool is_file() const { return is_file_; }

 private:
  // The stream stands while Flush waits for the disk, so the disk is kept at work before.
  static constexpr size_t kWriteBack = size_t{2} << 20;

  size_t unwritten_ = 0;
  Status kept_;  // the first flush that failed
  bool is_file_ = false;
  const bool is_terminal_ = isatty(STDOUT_FILENO) == 1;
};

Result<PluginOptions> MakePluginOptions(const ReceiveLogicalArguments& arguments,
                                        int server_version) {
  PluginOptions out;
  if (arguments.plugin == "pgoutput") {
    const int newest = server_version >= 160000   ? 4
                       : server_version >= 150000 ? 3
                       : server_version >= 140000 ? 2
                                                  : 1;
    out.emplace_back("proto_version", std::to_string(std::min(arguments.protocol, newest)));
    out.emplace_back("publication_names", arguments.publications);
    if (arguments.streaming != "off") out.emplace_back("streaming", arguments.streaming);
    if (arguments.two_phase) out.emplace_back("two_phase", "on");
    if (arguments.messages) out.emplace_back("messages", "on");
  }
  for (const std::string& option : arguments.plugin_options) {
    const size_t equals = option.find('=');
    out.emplace_back(option.substr(0, equals),
                     equals == std::string::npos ? "" : option.substr(equals + 1));
  }
  return out;
}

// As pgoutput reads its publication_names (SplitIdentifierString in utils/adt/varlena.c).
std::vector<std::string> SplitNames(std::string_view text) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (size_t i = 0; i < text.size(); i++) {
    const char c = text[i];
    if (c == '"') {
      if (quoted && i + 1 < text.size() && text[i + 1] == '"') {
        out.back() += text[i++];
      } else {
        quoted = !quoted;
      }
    } else if (quoted) {
      out.back() += c;
    } else if (c == ',') {
      out.emplace_back();
    } else if (c >= 'A' && c <= 'Z') {
      out.back() += static_cast<char>(c - 'A' + 'a');
    } else if (std::isspace(static_cast<unsigned char>(c)) == 0) {
      out.back() += c;
    }
  }
  constexpr size_t kLongestName = 63;  // NAMEDATALEN - 1
  for (std::string& name : out) name.resize(std::min(name.size(), kLongestName));
  return out;
}

// A slot that is created before its publication never gets past the changes in between: pgoutput
// looks for the publication as it was at the time of the change.
Status CheckPublications(const ReceiveLogicalArguments& arguments, WalStream* stream) {
  if (arguments.plugin != "pgoutput") return {};
  ASSIGN_OR_RETURN(const auto missing,
                   stream->receiver().FindMissingPublications(SplitNames(arguments.publications)));
  if (missing.empty()) return {};
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("publication \"{}\" does not exist", missing.front()));
}

Status Start(const ReceiveLogicalArguments& arguments, WalStream* stream, Lsn start) {
  RETURN_IF_ERROR(stream->Connect());
  RETURN_IF_ERROR(CheckPublications(arguments, stream));
  if (arguments.create_slot) {
    SlotSpec spec;
    spec.name = arguments.slot;
    spec.plugin = arguments.plugin;
    spec.two_phase = arguments.two_phase;
    const auto created = stream->receiver().CreateSlot(spec);
    if (!created && stream->receiver().server_error().sqlstate != "42710")
      return tl::unexpected(created.error());
  }
  ASSIGN_OR_RETURN(const auto plugin_options,
                   MakePluginOptions(arguments, stream->receiver().server_version()));
  return stream->StartLogical(arguments.slot, start, plugin_options);
}

// One round: lines out, then what the server may forget. Returns whether it is done.
class Loop {
 public:
  Loop(const ReceiveLogicalArguments& arguments, WalStream* stream, Lsn until,
       StreamMetrics* metrics)
      : stream_(stream),
        metrics_(metrics),
        until_(until),
        interval_(ToMilliseconds(arguments.status_interval)),
        lines_(arguments.plugin == "pgoutput" ? LogicalLines::Format::kPgoutputJson
                                              : LogicalLines::Format::kText) {}

  Result<bool> Step() {
    ASSIGN_OR_RETURN(const auto step, stream_->Next(&batch_, milliseconds(500)));
    if (step == WalStream::Step::kReconnected) lines_.Reconnected(&text_);
    bool reply = false;
    bool done = false;
    Status added;
    for (const ServerMessage& message : batch_.messages()) {
      if (const auto* keepalive = std::get_if<Keepalive>(&message)) {
        reply = reply || keepalive->reply_requested;
        lines_.Add(*keepalive);
      } else {
        added = lines_.Add(std::get<XLogData>(message), &text_);
        if (!added) break;
      }
      done = until_.valid() && lines_.confirmable() >= until_;
      if (done) break;
    }
    RETURN_IF_ERROR(output_.Write(&text_));
    written_ = lines_.confirmable();
    RETURN_IF_ERROR(added);
    RETURN_IF_ERROR(Confirm(reply || done));
    if (metrics_) {
      const Positions positions = stream_->receiver().positions();
      metrics_->Update(stream_, positions.written, positions.flushed);
    }
    return done;
  }

  // What is written: the server need not send it again.
  Status Confirm(bool now) {
    const Lsn at = written_;
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
  Lsn written_;  // up to here all lines are written
  MessageBatch batch_;
  std::string text_;
  Output output_;
  Clock::time_point flushed_ = Clock::now();
};

StreamOptions MakeStreamOptions(const ReceiveLogicalArguments& arguments) {
  StreamOptions out;
  out.receiver.connect.conninfo = arguments.dbname;
  out.receiver.connect.logical = true;
  out.receiver.status_interval = ToMilliseconds(arguments.status_interval);
  out.receiver.stall_timeout = ToMilliseconds(arguments.stall_timeout);
  out.receiver.max_message_bytes = arguments.max_message_size;
  out.on_event = Say;
  return out;
}

std::string HintFor(const Error& error, const ServerError& said, bool confirmed) {
  if (error.code == ErrorCode::kUnsupported &&
      error.message.starts_with("the server sent a message of"))
    return fmt::format("{}--max-message-size=SIZE raises the limit.",
                       confirmed ? "What came before it is confirmed. " : "");
  const bool undefined = said.sqlstate == "42704";
  if (undefined && said.message.find("publication") != std::string::npos)
    return "A change from before the publication was created cannot be decoded. Drop the slot, "
           "then "
           "create it again.";
  return "";
}

Outcome Run(const ReceiveLogicalArguments& arguments) {
  if (arguments.plugin == "pgoutput" && arguments.publications.empty())
    return Fail("pgoutput needs --publication");
  std::unique_ptr<MetricsExposer> exposer;
  std::optional<StreamMetrics> metrics;
  if (!arguments.metrics.empty()) {
    ASSIGN_OR_RETURN(exposer, MetricsExposer::Open(arguments.metrics));
    metrics.emplace(*exposer->registry(), arguments.slot);
    Say(fmt::format("metrics on port {}", exposer->port()));
  }
  WalStream stream(MakeStreamOptions(arguments), StopOnSignals());
  const Status started = Start(arguments, &stream, arguments.start.value_or(Lsn()));
  if (!started) {
    if (started.error().code == ErrorCode::kCancelled) return kExitFine;
    return tl::unexpected(started.error());
  }
  Loop loop(arguments, &stream, arguments.until.value_or(Lsn()), metrics ? &*metrics : nullptr);
  Result<bool> done = false;
  while (done && !*done) done = loop.Step();
  // What was written before an error counts as well.
  const Status confirmed = loop.Confirm(true);
  const ServerError said = stream.receiver().server_error();
  static_cast<void>(stream.End());
  if (!done && done.error().code != ErrorCode::kCancelled) {
    std::string message = done.error().message;
    if (!confirmed && confirmed.error().message != message)
      message += "; " + confirmed.error().message;
    return Fail(std::move(message), HintFor(done.error(), said, confirmed.has_value()));
  }
  RETURN_IF_ERROR(confirmed);
  return kExitFine;
}

}  // namespace

CommandFunction DeclareReceiveLogical(Options* options) {
  auto arguments = std::make_shared<ReceiveLogicalArguments>();
  options->Usage("[OPTION]... --slot=SLOTNAME");
  AddConnection(options, &arguments->dbname);
  options->Text("--slot=SLOTNAME", &arguments->slot, "logical replication slot").Required();
  options->Flag("--create-slot", &arguments->create_slot, "create the slot unless it exists");
  options->Text("--plugin=NAME", &arguments->plugin,
                "output plugin: pgoutput (the default), whose changes are printed as JSON, or a "
                "plugin that writes text");
  options->Text("--publication=NAMES", &arguments->publications,
                "publications for pgoutput, separated by commas");
  options->Integer("--protocol=VERSION", &arguments->protocol, {1, 4},
                   "highest version of pgoutput's protocol to request (default: 4)");
  options->Choice<std::string>("--streaming=MODE", &arguments->streaming,
                               {{"off", "off"}, {"on", "on"}, {"parallel", "parallel"}},
                               "whether large transactions arrive before they commit: off "
                               "(default), on or parallel");
  options->Flag("--two-phase", &arguments->two_phase,
                "receive transactions when they are prepared");
  options->Flag("--messages", &arguments->messages, "include messages of pg_logical_emit_message");
  options->TextList("-o, --option=NAME[=VALUE]", &arguments->plugin_options,
                    "further option of the plugin; can be repeated");
  options->Location("--start=LSN", &arguments->start,
                    "start at this LSN instead of the slot's position");
  AddUntil(options, &arguments->until, "stop once all changes up to this LSN are printed");
  AddStatusInterval(options, &arguments->status_interval, std::chrono::milliseconds(1));
  AddStallTimeout(options, &arguments->stall_timeout);
  options->Size("--max-message-size=SIZE", &arguments->max_message_size, 1 << 20,
                "longest message to accept, which is a change with its row (default: 128MB)");
  AddMetrics(options, &arguments->metrics);
  options->Notes(
      "At the end of each transaction, the command confirms to the slot what it has\n"
      "written; when the output is a file, what it has flushed. The exit status is 0 when\n"
      "the command was stopped or reached --until, and 2 otherwise.\n\n"
      "Example:\n"
      "  neon-redo receive-logical --dbname='host=db1 dbname=app' --slot=cdc \\\n"
      "    --create-slot --publication=app_changes\n");
  return [arguments] { return Run(*arguments); };
}

}  // namespace neon_redo::cli
