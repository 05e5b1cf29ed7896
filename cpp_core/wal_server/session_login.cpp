// From the first byte to ReadyForQuery: what ProcessStartupPacket (postmaster/postmaster.c) and
// ClientAuthentication (libpq/auth.c) do. A local client has shown who it is by its socket; another
// one asks for TLS, and then proves its password.
#include <fmt/format.h>

#include <utility>
#include <vector>

#include "cpp_core/pg/wal_page.h"
#include "cpp_core/wal_server/session.h"
#include "neon_redo/bytes.h"

// Of libpgcommon (mb/pg_wchar.h): how many bytes of the text are whole valid characters.
extern "C" int pg_encoding_verifymbstr(int encoding, const char* text, int length);

namespace neon_redo {

using namespace std::string_view_literals;

namespace {

// libpq/pqcomm.h
constexpr uint32_t kProtocol3 = 3 << 16;
constexpr uint32_t kCancelRequest = 1234 << 16 | 5678;
constexpr uint32_t kSslRequest = 1234 << 16 | 5679;
constexpr uint32_t kGssRequest = 1234 << 16 | 5680;
constexpr size_t kMaxStartupPacket = 10'000;

constexpr int kUtf8 = 6;  // PG_UTF8

constexpr uint32_t kAuthSasl = 10;
constexpr uint32_t kAuthSaslContinue = 11;
constexpr uint32_t kAuthSaslFinal = 12;

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

// One startup packet: its length, then its body.
bool Session::HandleStartup() {
  const std::string_view inbox = this->inbox();
  if (inbox.size() < 4) return false;
  const uint32_t length = ReadInt32(inbox);
  if (length < 8 || length > kMaxStartupPacket + 4) {
    Break("invalid length of startup packet");
    return false;
  }
  if (inbox.size() < length) return false;
  const std::string body(inbox.substr(4, length - 4));
  inbox_at_ += length;
  turn_work_--;
  HandleStartupPacket(body);
  return true;
}

void Session::HandleStartupPacket(std::string_view body) {
  const uint32_t code = ReadInt32(body);
  if (code == kCancelRequest) {
    if (body.size() == 12) host_.cancel(ReadInt32(body.substr(4)), ReadInt32(body.substr(8)));
    return Break("");
  }
  if (code == kSslRequest && !ssl_asked_ && host_.tls && !peer_.local) {
    ssl_asked_ = gss_asked_ = starting_tls_ = true;
    output_.bytes()->push_back('S');
    return RefuseEarlyBytes("SSL");
  }
  if ((code == kSslRequest && !ssl_asked_) || (code == kGssRequest && !gss_asked_)) {
    (code == kSslRequest ? ssl_asked_ : gss_asked_) = true;
    output_.bytes()->push_back('N');
    return RefuseEarlyBytes(code == kSslRequest ? "SSL" : "GSSAPI encryption");
  }
  if (code >> 16 != 3)
    return Fail(Severity::kFatal,
                {"0A000", fmt::format("unsupported frontend protocol {}.{}: server supports 3.0 to "
                                      "3.0",
                                      code >> 16, code & 0xffff)});
  if (!ReadParameters(body.substr(4), code)) return;
  if (peer_.local) return Welcome();
  PutAuthentication(
      output_.bytes(), kAuthSasl,
      channel_binding_.empty() ? "SCRAM-SHA-256\0\0"sv : "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"sv);
  phase_ = Phase::kPassword;
}

void Session::RefuseEarlyBytes(const char* request) {
  if (inbox().empty()) return;
  starting_tls_ = false;
  Fail(Severity::kFatal,
       {"08P01", fmt::format("received unencrypted data after {} request", request),
        "This could be either a client-software bug or evidence of an attempted man-in-the-middle "
        "attack."});
}

void Session::TlsEstablished(const std::string& channel_binding) {
  starting_tls_ = false;
  encrypted_ = true;
  channel_binding_ = channel_binding;
}

void Session::FailScram(const Error& error) {
  if (error.code == ErrorCode::kCorrupt)
    return Fail(Severity::kFatal, {"08P01", "malformed SCRAM message", error.message});
  if (error.code == ErrorCode::kUnsupported)
    return Fail(Severity::kFatal, {"28000", error.message});
  if (error.code != ErrorCode::kInvalidArgument)
    return Fail(Severity::kFatal, {"XX000", error.message});
  Fail(Severity::kFatal,
       {"28P01", fmt::format("password authentication failed for user \"{}\"", statistics_.user)});
}

// SASLInitialResponse: the mechanism's name, a length, and the client's first message.
void Session::BeginScram(std::string_view body) {
  const size_t end = body.find('\0');
  const std::string_view mechanism = body.substr(0, end);
  const bool plus = mechanism == "SCRAM-SHA-256-PLUS" && !channel_binding_.empty();
  if (end == std::string_view::npos || (mechanism != "SCRAM-SHA-256" && !plus))
    return Fail(Severity::kFatal,
                {"08P01", "client selected an invalid SASL authentication mechanism"});
  body.remove_prefix(end + 1);
  if (body.size() < 4 || ReadInt32(body) != body.size() - 4)
    return FailScram({ErrorCode::kCorrupt, "The message has another length than it says."});
  const auto nonce = host_.make_nonce();
  if (!nonce) return FailScram(nonce.error());
  // The rights are those of the moment of the verifier, whatever Reload does before the proof.
  ScramUser user = host_.users->Find(statistics_.user);
  slot_rights_ = std::move(user.slots);
  scram_ = std::make_unique<ScramExchange>(std::move(user.verifier), *nonce,
                                           ChannelBinding{channel_binding_, plus});
  const auto answer = scram_->First(body.substr(4));
  if (!answer) return FailScram(answer.error());
  PutAuthentication(output_.bytes(), kAuthSaslContinue, *answer);
}

void Session::HandlePasswordMessage(char type, std::string_view body) {
  if (type == 'X') return Break("");
  if (type != 'p')
    return Fail(Severity::kFatal,
                {"08P01", fmt::format("expected SASL response, got message type {}",
                                      static_cast<unsigned>(static_cast<unsigned char>(type)))});
  if (!scram_) return BeginScram(body);
  const auto answer = scram_->Final(body);  // a SASLResponse is bare
  if (!answer) return FailScram(answer.error());
  PutAuthentication(output_.bytes(), kAuthSaslFinal, *answer);
  scram_.reset();
  Welcome();
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
  // It goes into JSON and metrics.
  const auto length = static_cast<int>(statistics_.user.size());
  if (pg_encoding_verifymbstr(kUtf8, statistics_.user.data(), length) != length) {
    statistics_.user.clear();
    return fatal({"22021", "invalid byte sequence for encoding \"UTF8\" in the user name"});
  }
  if (replication != "database" && !replication.empty() && !ParseBool(replication))
    return fatal({"22023",
                  fmt::format("invalid value for parameter \"replication\": \"{}\"", replication),
                  {},
                  "Valid values are: \"false\", 0, \"true\", 1, \"database\"."});
  if (!peer_.permitted)
    return fatal(
        {"28000", fmt::format("Peer authentication failed for user \"{}\"", statistics_.user)});
  if (!peer_.local && !encrypted_)
    return fatal({"28000", fmt::format("no pg_hba.conf entry for replication connection from host "
                                       "\"{}\", user \"{}\", no encryption",
                                       peer_.address, statistics_.user)});
  if (host_.too_many(peer_)) return fatal({"53300", "sorry, too many clients already"});
  if (stopping_) return fatal({"57P03", "the database system is shutting down"});
  if (replication == "database" || !ParseBool(replication).value_or(false))
    return fatal({"0A000",
                  "this server streams WAL and has no databases",
                  {},
                  "Connect for physical replication, with replication=true."});
  return true;
}

void Session::Welcome() {
  // Others may have logged in while this client proved its password.
  if (host_.too_many(peer_))
    return Fail(Severity::kFatal, {"53300", "sorry, too many clients already"});
  if (host_.too_many_for_user(statistics_.user))
    return Fail(Severity::kFatal,
                {"53300", fmt::format("too many connections for role \"{}\"", statistics_.user)});
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
      {"server_version", ServerVersion()},
      {"session_authorization", statistics_.user},
      {"standard_conforming_strings", "on"},
      {"TimeZone", "UTC"},
  };
  for (const auto& [name, value] : parameters) PutParameterStatus(out, name, value);
  MessageBuilder(out, 'K').Int32(id_).Int32(cancel_key_);
  PutReadyForQuery(out);
  phase_ = Phase::kCommands;
  statistics_.authenticated = true;
  last_message_ = now_;
}

}  // namespace neon_redo
