// SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), the server's side, with PostgreSQL's
// verifiers. The channel is bound by tls-server-end-point (RFC 5929).
#ifndef NEON_REDO_WAL_SERVER_SCRAM_H_
#define NEON_REDO_WAL_SERVER_SCRAM_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "neon_redo/error.h"

namespace neon_redo {

inline constexpr size_t kScramKeySize = 32;
using ScramKey = std::array<uint8_t, kScramKeySize>;

// What a server keeps of a password: "SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY", keys and
// salt in base64, as in pg_authid.rolpassword (libpq/scram.h).
struct ScramVerifier {
  uint32_t iterations = 0;
  std::string salt;
  ScramKey stored_key{};
  ScramKey server_key{};
};
Result<ScramVerifier> ParseScramVerifier(std::string_view text);

// Who may connect: a file with a line NAME:VERIFIER for each, as this prints them:
//   SELECT rolname || ':' || rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL
class ScramUsers {
 public:
  // kInvalidArgument: others may read the file. kCorrupt: a bad line.
  static Result<ScramUsers> Open(const std::string& path);
  // Reads the file again; on an error all stays as it was. Names that are not there keep their
  // salts.
  Status Reload(const std::string& path);

  // For a name that is not there, a verifier that no password fits, but always the same salt, so
  // that nobody learns which names there are (mock_scram_secret in libpq/auth-scram.c).
  ScramVerifier Find(const std::string& name) const;
  bool empty() const { return users_.empty(); }

 private:
  std::map<std::string, ScramVerifier> users_;
  ScramKey secret_{};  // of this run
};

// What binds an exchange to the TLS connection it goes through.
struct ChannelBinding {
  std::string data;     // the certificate's hash; empty: this connection cannot be bound
  bool chosen = false;  // the client has taken SCRAM-SHA-256-PLUS
};

// One exchange: First, then Final. Each gives the server's answer. kCorrupt: not such a message.
// kUnsupported: the client's channel is not ours, or it was kept from binding it.
class ScramExchange {
 public:
  // nonce: the server's part, printable, without commas.
  ScramExchange(ScramVerifier verifier, std::string nonce, ChannelBinding binding = {})
      : verifier_(std::move(verifier)), nonce_(std::move(nonce)), binding_(std::move(binding)) {}

  Result<std::string> First(std::string_view message);
  // kInvalidArgument: the password is wrong.
  Result<std::string> Final(std::string_view message);

 private:
  Status TakeHeader(std::string_view* message);

  const ScramVerifier verifier_;
  std::string nonce_;  // the client's part first, once it is known
  const ChannelBinding binding_;
  std::string gs2_header_;
  std::string auth_message_;  // as far as it has come
};

// A server's part of a nonce, at random.
Result<std::string> MakeScramNonce();

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_SCRAM_H_
