// Input is collected until a whole message is there, which is then handled in one go; a client that
// asks much and reads nothing is not listened to until it has read (Process stops, wants_input
// turns false). What may come depends on the phase: startup packets first, then queries, then, once
// START_REPLICATION is in effect, CopyData and CopyDone (ProcessStartupPacket in
// postmaster/postmaster.c, PostgresMain in tcop/postgres.c, ProcessRepliesIfAny in
// replication/walsender.c).
#include "cpp_core/walsender/session.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "cpp_core/base/bytes.h"
#include "cpp_core/wal/page_header.h"

namespace neon_redo {

namespace {

// libpq/pqcomm.h
constexpr uint32_t kProtocol3 = 3 << 16;
constexpr uint32_t kCancelRequest = 1234 << 16 | 5678;
constexpr uint32_t kSslRequest = 1234 << 16 | 5679;
constexpr uint32_t kGssRequest = 1234 << 16 | 5680;
constexpr size_t kMaxStartupPacket = 10'000;

uint32_t ReadInt32(std::string_view bytes) { return LoadBe32(bytes.data()); }

// parse_bool, without its abbreviations.
std::optional<bool> ParseBool(std::string_view text) {
  if (text == "true" || text == "on" || text == "yes" || text == "1") return true;
  if (text == "false" || text == "off" || text == "no" || text == "0") return false;
  return std::nullopt;
}

// pg_clean_ascii
std::string CleanAscii(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c < 32 || c > 126) c = '?';
  return out;
}

}  // namespace

const char* SenderStateName(SenderState state) {
  switch (state) {
    case SenderState::kStartup:
      return "startup";
    case SenderState::kCatchup:
      return "catchup";
    case SenderState::kStreaming:
      return "streaming";
    case SenderState::kStopping:
      return "stopping";
  }
  return "unknown";
}

Session::Session(const SessionHost& host, uint32_t id, uint32_t cancel_key, Peer peer,
                 Clock::time_point now)
    : host_(host), id_(id), cancel_key_(cancel_key), peer_(std::move(peer)), start_(now) {
  statistics_.backend_start = std::chrono::system_clock::now();
}

// Temporary slots go with the session.
Session::~Session() {
  ReleaseSlot();
  std::vector<std::string> own;
  for (const auto& [name, slot] : host_.slots->slots()) {
    if (slot.temporary && slot.active == id_) own.push_back(name);
  }
  for (const std::string& name : own) static_cast<void>(host_.slots->Drop(name));
}

void Session::Feed(std::string_view bytes, Clock::time_point now) {
  if (closing_) return;
  inbox_.append(bytes);
  Process(now);
}

void Session::Process(Clock::time_point now) {
  while (!closing_ && output_.buffered() < kMaxOutput) {
    if (phase_ == Phase::kNegotiation ? !HandleStartup() : !HandleMessage(now)) break;
  }
  if (inbox_.empty() && inbox_.capacity() > 1024) inbox_.shrink_to_fit();
}

bool Session::Continue(Clock::time_point now) {
  if (closing_) return false;
  if (!inbox_.empty()) Process(now);
  if (!output_.empty() || closing_) return !output_.empty();
  return phase_ == Phase::kStreaming && SendWal();
}

void Session::Break(const std::string& why) {
  if (!why.empty()) host_.log(id_, why);
  closing_ = broken_ = true;
}

void Session::Fail(Severity severity, const ServerErrorMessage& error) {
  PutError(output_.bytes(), severity, error);
  if (severity == Severity::kFatal) {
    host_.log(id_, "FATAL: " + error.message);
    closing_ = true;
    return;
  }
  host_.log(id_, "ERROR: " + error.message);
  if (phase_ == Phase::kStreaming) {
    ReleaseSlot();
    segment_.reset();
    statistics_.state = SenderState::kStartup;
    caught_up_ = false;
  }
  phase_ = Phase::kCommands;
  if (!skip_to_sync_) PutReadyForQuery(output_.bytes());
}

void Session::Cancel() {
  if (phase_ == Phase::kStreaming && output_.range_free())
    Fail(Severity::kError, {"57014", "canceling statement due to user request"});
}

// One startup packet: its length, then its body.
bool Session::HandleStartup() {
  if (inbox_.size() < 4) return false;
  const uint32_t length = ReadInt32(inbox_);
  if (length < 8 || length > kMaxStartupPacket + 4) {
    Break("invalid length of startup packet");
    return false;
  }
  if (inbox_.size() < length) return false;
  const std::string body = inbox_.substr(4, length - 4);
  inbox_.erase(0, length);
  HandleStartupPacket(body);
  return true;
}

void Session::HandleStartupPacket(std::string_view body) {
  const uint32_t code = ReadInt32(body);
  if (code == kCancelRequest) {
    if (body.size() == 12) host_.cancel(ReadInt32(body.substr(4)), ReadInt32(body.substr(8)));
    return Break("");
  }
  if ((code == kSslRequest && !ssl_asked_) || (code == kGssRequest && !gss_asked_)) {
    (code == kSslRequest ? ssl_asked_ : gss_asked_) = true;
    output_.bytes()->push_back('N');
    if (!inbox_.empty())
      Fail(Severity::kFatal,
           {"08P01",
            fmt::format("received unencrypted data after {} request",
                        code == kSslRequest ? "SSL" : "GSSAPI encryption"),
            "This could be either a client-software bug or evidence of an attempted "
            "man-in-the-middle attack."});
    return;
  }
  if (code >> 16 != 3)
    return Fail(Severity::kFatal,
                {"0A000", fmt::format("unsupported frontend protocol {}.{}: server supports 3.0 to "
                                      "3.0",
                                      code >> 16, code & 0xffff)});
  if (ReadParameters(body.substr(4), code)) Welcome();
}

bool Session::ReadParameters(std::string_view rest, uint32_t protocol) {
  std::vector<std::string> unknown_options;
  std::string replication;
  std::string user;
  auto take = [&rest](std::string_view* out) {
    const size_t end = rest.find('\0');
    if (end == std::string_view::npos) return false;
    *out = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    return true;
  };
  std::string_view name;
  std::string_view value;
  bool terminated = false;
  while (take(&name)) {
    if (name.empty()) {
      terminated = rest.empty();
      break;
    }
    if (!take(&value)) break;
    if (name == "user") user = value;
    if (name == "replication") replication = value;
    if (name == "application_name") statistics_.application_name = CleanAscii(value).substr(0, 63);
    if (name.starts_with("_pq_.")) unknown_options.emplace_back(name);
  }
  auto fatal = [this](ServerErrorMessage error) {
    Fail(Severity::kFatal, error);
    return false;
  };
  if (!terminated)
    return fatal({"08P01", "invalid startup packet layout: expected terminator as last byte"});
  if ((protocol & 0xffff) != 0 || !unknown_options.empty()) {
    MessageBuilder message(output_.bytes(), 'v');
    message.Int32(kProtocol3).Int32(static_cast<uint32_t>(unknown_options.size()));
    for (const std::string& option : unknown_options) message.String(option);
  }
  if (user.empty()) return fatal({"28000", "no PostgreSQL user name specified in startup packet"});
  statistics_.user = user.substr(0, 63);
  if (replication != "database" && !replication.empty() && !ParseBool(replication))
    return fatal({"22023",
                  fmt::format("invalid value for parameter \"replication\": \"{}\"", replication),
                  {},
                  "Valid values are: \"false\", 0, \"true\", 1, \"database\"."});
  if (!peer_.permitted)
    return fatal(
        {"28000", fmt::format("Peer authentication failed for user \"{}\"", statistics_.user)});
  if (too_many_) return fatal({"53300", "sorry, too many clients already"});
  if (stopping_) return fatal({"57P03", "the database system is shutting down"});
  if (replication == "database" || !ParseBool(replication).value_or(false))
    return fatal({"0A000",
                  "this server streams WAL and has no databases",
                  {},
                  "Connect for physical replication, with replication=true."});
  return true;
}

void Session::Welcome() {
  std::string* out = output_.bytes();
  PutAuthentication(out, 0);
  const std::pair<std::string_view, std::string> parameters[] = {
      {"application_name", statistics_.application_name},
      {"client_encoding", "UTF8"},
      {"DateStyle", "ISO, MDY"},
      {"default_transaction_read_only", "off"},
      {"in_hot_standby", "on"},
      {"integer_datetimes", "on"},
      {"IntervalStyle", "postgres"},
      {"is_superuser", "off"},
      {"server_encoding", "UTF8"},
      {"server_version",
       fmt::format("{}.0 (neon_redo {})", kWalVersions[0].major, NEON_REDO_VERSION)},
      {"session_authorization", statistics_.user},
      {"standard_conforming_strings", "on"},
      {"TimeZone", "UTC"},
  };
  for (const auto& [name, value] : parameters) PutParameterStatus(out, name, value);
  MessageBuilder(out, 'K').Int32(id_).Int32(cancel_key_);
  PutReadyForQuery(out);
  phase_ = Phase::kCommands;
  statistics_.authenticated = true;
}

// One message: its type, its length, its body.
bool Session::HandleMessage(Clock::time_point now) {
  if (inbox_.size() < 5) return false;
  const char type = inbox_[0];
  const uint32_t length = ReadInt32(std::string_view(inbox_).substr(1));
  if (length < 4 || length > kMaxMessage - 1) {
    Fail(Severity::kFatal, {"08P01", "invalid message length"});
    return false;
  }
  if (inbox_.size() < 1 + size_t{length}) return false;
  const std::string body = inbox_.substr(5, length - 4);
  inbox_.erase(0, 1 + size_t{length});
  if (phase_ == Phase::kStreaming)
    HandleStreamMessage(type, body, now);
  else
    HandleCommandMessage(type, body);
  return true;
}

void Session::HandleCommandMessage(char type, std::string_view body) {
  if (type == 'X') return Break("");
  // What a client sends of a stream that we have already ended.
  if (type == 'd' || type == 'c' || type == 'f') return;
  if (type == 'S') {
    skip_to_sync_ = false;
    return PutReadyForQuery(output_.bytes());
  }
  if (skip_to_sync_ || type == 'H') return;
  if (type == 'Q') return HandleQuery(body);
  if (type == 'F')
    return Refuse("08P01", "fastpath function calls not supported in a replication connection");
  if (std::string_view("PBEDC").find(type) == std::string_view::npos)
    return Fail(Severity::kFatal,
                {"08P01", fmt::format("invalid frontend message type {}",
                                      static_cast<unsigned>(static_cast<unsigned char>(type)))});
  skip_to_sync_ = true;
  Refuse("08P01", "extended query protocol not supported in a replication connection");
}

void Session::Tick(Clock::time_point now) {
  if (closing_) return;
  if (phase_ == Phase::kNegotiation) {
    if (host_.login_timeout.count() > 0 && now - start_ >= host_.login_timeout) Break("");
    return;
  }
  if (phase_ != Phase::kStreaming || host_.sender_timeout.count() == 0) return;
  if (now - last_reply_ >= host_.sender_timeout)
    return Break("terminating walsender process due to replication timeout");
  if (!waiting_for_reply_ && now - last_reply_ >= host_.sender_timeout / 2)
    PutKeepaliveMessage(true);
}

void Session::Stop(Clock::time_point now) {
  if (closing_) return;
  stopping_ = true;
  if (phase_ != Phase::kStreaming || done_sending_) {
    if (phase_ == Phase::kNegotiation) return Break("");
    return Fail(Severity::kFatal, {"57P01", "terminating connection due to administrator command"});
  }
  statistics_.state = SenderState::kStopping;
  // What was asked before does not count as an answer to this.
  waiting_for_reply_ = false;
  static_cast<void>(Continue(now));
}

}  // namespace neon_redo
