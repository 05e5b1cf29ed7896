// The replication commands: text out, rows back (replication/repl_gram.y has their grammar).
#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <charconv>
#include <climits>

#include "cpp_core/archive/segment.h"
#include "cpp_core/base/try.h"
#include "cpp_core/wal_client/receiver_impl.h"

namespace neon_redo {

using std::chrono::milliseconds;

milliseconds ParseSettingTime(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value < 0 || value > INT_MAX) return milliseconds(0);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  const int64_t factor = unit == "s"     ? 1000
                         : unit == "min" ? 60'000
                         : unit == "h"   ? 3'600'000
                         : unit == "d"   ? 86'400'000
                                         : 1;
  return milliseconds(std::min<int64_t>(value * factor, INT_MAX));
}

namespace {

// wal_segment_size as SHOW prints it: "16MB", "1GB".
std::optional<uint32_t> ParseSegmentSize(const std::string& text) {
  char* unit = nullptr;
  const uint64_t value = strtoull(text.c_str(), &unit, 10);
  const std::string_view suffix = unit;
  const uint64_t size = value << (suffix == "GB" ? 30 : suffix == "MB" ? 20 : 0);
  if (value > (uint64_t{1} << 30) || !IsValidSegmentSize(size)) return std::nullopt;
  return static_cast<uint32_t>(size);
}

template <typename T>
bool ParseNumber(const std::optional<std::string>& text, T* out) {
  if (!text) return false;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *out);
  return error == std::errc{} && end == text->data() + text->size();
}

Result<Lsn> ParseLsn(const std::optional<std::string>& text) {
  if (!text) return Lsn();
  return Lsn::Parse(*text);
}

tl::unexpected<Error> Unexpected(const char* command) {
  return MakeError(ErrorCode::kUnsupported,
                   fmt::format("{}: the server's answer is not as documented", command));
}

std::string CreateSlotCommand(const SlotSpec& spec, int server_version) {
  const bool logical = !spec.plugin.empty();
  std::string out = "CREATE_REPLICATION_SLOT " + QuoteReplicationIdentifier(spec.name);
  if (spec.temporary) out += " TEMPORARY";
  out += logical ? " LOGICAL " + QuoteReplicationIdentifier(spec.plugin) : " PHYSICAL";
  using Snapshot = SlotSpec::Snapshot;
  if (server_version < 150000) {  // options without parentheses
    if (!logical) return spec.reserve_wal ? out + " RESERVE_WAL" : out;
    if (spec.snapshot == Snapshot::kNothing) out += " NOEXPORT_SNAPSHOT";
    if (spec.snapshot == Snapshot::kExport) out += " EXPORT_SNAPSHOT";
    if (spec.snapshot == Snapshot::kUse) out += " USE_SNAPSHOT";
    return spec.two_phase ? out + " TWO_PHASE" : out;
  }
  if (!logical) return spec.reserve_wal ? out + " (RESERVE_WAL)" : out;
  const char* snapshot = spec.snapshot == Snapshot::kExport ? "export"
                         : spec.snapshot == Snapshot::kUse  ? "use"
                                                            : "nothing";
  out += fmt::format(" (SNAPSHOT '{}'{})", snapshot, spec.two_phase ? ", TWO_PHASE" : "");
  return out;
}

}  // namespace

Status WalReceiver::Impl::Connect() {
  Disconnect();
  server_error_ = {};
  ASSIGN_OR_RETURN(auto opened, Connection::Open(options_.connect, cancel_, &server_error_));
  connection_ = std::move(opened);
  encrypted_ = connection_->encrypted();
  output_pending_ = false;
  return {};
}

Result<std::vector<CommandRow>> WalReceiver::Impl::Command(const std::string& command,
                                                           size_t columns, milliseconds timeout) {
  server_error_ = {};
  if (!connection_) return MakeError(ErrorCode::kInvalidArgument, "not connected");
  if (phase_ == Phase::kStreaming)
    return MakeError(ErrorCode::kInvalidArgument, "no commands while streaming; end it first");
  StopFeedback();  // the connection is ours alone
  phase_ = Phase::kIdle;
  auto rows = connection_->Execute(command, columns, timeout);
  if (!rows) server_error_ = connection_->server_error();
  return rows;
}

Result<SystemIdentity> WalReceiver::Impl::IdentifySystem() {
  ASSIGN_OR_RETURN(const auto rows, Command("IDENTIFY_SYSTEM", 4, options_.command_timeout));
  SystemIdentity out;
  if (rows.size() != 1 || !ParseNumber((rows)[0][0], &out.system_identifier) ||
      !ParseNumber((rows)[0][1], &out.timeline))
    return Unexpected("IDENTIFY_SYSTEM");
  ASSIGN_OR_RETURN(const auto lsn, ParseLsn((rows)[0][2]));
  out.flushed = lsn;
  out.database = (rows)[0][3].value_or("");
  return out;
}

Result<TimelineHistory> WalReceiver::Impl::ReadTimelineHistory(uint32_t timeline) {
  ASSIGN_OR_RETURN(const auto rows, Command(fmt::format("TIMELINE_HISTORY {}", timeline), 2,
                                            options_.command_timeout));
  if (rows.size() != 1 || !(rows)[0][0] || !(rows)[0][1]) return Unexpected("TIMELINE_HISTORY");
  // The name becomes a file's: take no other than the one there can be.
  if (*(rows)[0][0] != fmt::format("{:08X}.history", timeline))
    return Unexpected("TIMELINE_HISTORY");
  return TimelineHistory{*(rows)[0][0], *(rows)[0][1]};
}

Result<std::string> WalReceiver::Impl::Show(const std::string& setting) {
  ASSIGN_OR_RETURN(const auto rows, Command("SHOW " + QuoteReplicationIdentifier(setting), 1,
                                            options_.command_timeout));
  if (rows.size() != 1 || !(rows)[0][0]) return Unexpected("SHOW");
  return *(rows)[0][0];
}

Result<uint32_t> WalReceiver::Impl::ReadSegmentSize() {
  ASSIGN_OR_RETURN(const auto text, Show("wal_segment_size"));
  const auto size = ParseSegmentSize(text);
  if (size) return *size;
  return MakeError(ErrorCode::kUnsupported,
                   fmt::format("the server's wal_segment_size is \"{}\"", text));
}

Result<CreatedSlot> WalReceiver::Impl::CreateSlot(const SlotSpec& spec) {
  if (!connection_) return MakeError(ErrorCode::kInvalidArgument, "not connected");
  ASSIGN_OR_RETURN(const auto rows, Command(CreateSlotCommand(spec, connection_->server_version()),
                                            4, milliseconds(0)));
  if (rows.size() != 1 || !(rows)[0][0]) return Unexpected("CREATE_REPLICATION_SLOT");
  ASSIGN_OR_RETURN(const auto lsn, ParseLsn((rows)[0][1]));
  return CreatedSlot{*(rows)[0][0], lsn, (rows)[0][2].value_or("")};
}

Result<std::optional<SlotPosition>> WalReceiver::Impl::ReadSlot(const std::string& name) {
  ASSIGN_OR_RETURN(const auto rows,
                   Command("READ_REPLICATION_SLOT " + QuoteReplicationIdentifier(name), 3,
                           options_.command_timeout));
  if (rows.size() != 1) return Unexpected("READ_REPLICATION_SLOT");
  const CommandRow& row = (rows)[0];
  if (!row[0]) return std::optional<SlotPosition>();
  ASSIGN_OR_RETURN(const auto lsn, ParseLsn(row[1]));
  SlotPosition out{lsn, 0};
  if (row[2] && !ParseNumber(row[2], &out.timeline)) return Unexpected("READ_REPLICATION_SLOT");
  return std::optional(out);
}

Status WalReceiver::Impl::DropSlot(const std::string& name, bool wait) {
  RETURN_IF_ERROR(
      Command("DROP_REPLICATION_SLOT " + QuoteReplicationIdentifier(name) + (wait ? " WAIT" : ""),
              0, wait ? milliseconds(0) : options_.command_timeout));
  return {};
}

// A walsender with a database takes SQL too.
Result<std::vector<std::string>> WalReceiver::Impl::FindMissingPublications(
    const std::vector<std::string>& names) {
  ASSIGN_OR_RETURN(const auto rows, Command("SELECT pubname FROM pg_catalog.pg_publication", 1,
                                            options_.command_timeout));
  std::vector<std::string> out;
  for (const std::string& name : names) {
    const bool found = std::any_of(rows.begin(), rows.end(),
                                   [&](const CommandRow& row) { return row[0] == name; });
    if (!found) out.push_back(name);
  }
  return out;
}

Status WalReceiver::Impl::StartPhysical(const std::optional<std::string>& slot, Lsn start,
                                        uint32_t timeline) {
  std::string command = "START_REPLICATION";
  if (slot) command += " SLOT " + QuoteReplicationIdentifier(*slot);
  command += " PHYSICAL " + start.ToString();
  if (timeline != 0) command += fmt::format(" TIMELINE {}", timeline);
  return Start(command);
}

Status WalReceiver::Impl::StartLogical(const std::string& slot, Lsn start,
                                       const PluginOptions& options) {
  std::string command =
      "START_REPLICATION SLOT " + QuoteReplicationIdentifier(slot) + " LOGICAL " + start.ToString();
  const char* separator = " (";
  for (const auto& [name, value] : options) {
    command += separator + QuoteReplicationIdentifier(name) + " " + QuoteReplicationLiteral(value);
    separator = ", ";
  }
  if (!options.empty()) command += ")";
  return Start(command);
}

Status WalReceiver::Impl::Start(const std::string& command) {
  server_error_ = {};
  if (!connection_) return MakeError(ErrorCode::kInvalidArgument, "not connected");
  if (phase_ == Phase::kStreaming)
    return MakeError(ErrorCode::kInvalidArgument, "already streaming");
  ASSIGN_OR_RETURN(const auto timeout, Show("wal_sender_timeout"));
  sender_timeout_ = ParseSettingTime(timeout);
  const std::lock_guard lock(mutex_);
  failure_.reset();
  copy_ended_ = false;
  auto result = connection_->ExecuteForStatus(command, options_.command_timeout);
  if (!result) {
    server_error_ = connection_->server_error();
    return tl::unexpected(result.error());
  }
  last_status_ = Clock::now();
  silence_ = {};
  asked_for_life_ = false;
  if (*result && PQresultStatus(result->get()) == PGRES_COPY_BOTH) {
    phase_ = Phase::kStreaming;
    StartFeedback();
    return PutStatus(false);  // where we are, for whoever watches or waits for us
  }
  // Refused, or there is nothing after `start` on this timeline.
  const auto deadline = Clock::now() + options_.command_timeout;
  const Status ended = ReadEndResults(std::move(*result), deadline);
  if (ended) return {};
  phase_ = Phase::kIdle;
  connection_->Discard(deadline);
  return ended;
}

}  // namespace neon_redo
