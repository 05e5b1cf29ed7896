// SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), the server's side, with PostgreSQL's
// verifiers. The channel is bound by tls-server-end-point (RFC 5929).
#ifndef NEON_REDO_WAL_SERVER_SCRAM_H_
#define NEON_REDO_WAL_SERVER_SCRAM_H_

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cpp_core/base/directory.h"
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

// Which replication slots a role may use, make and drop.
class SlotRights {
 public:
  // All of them.
  SlotRights() = default;
  static SlotRights None();
  // NAMES, separated by commas; a name that ends in "*" stands for all that begin so. Empty: none.
  // kCorrupt: no slot can have such a name.
  static Result<SlotRights> Of(std::string_view names);

  bool Allow(std::string_view slot) const;

 private:
  bool all_ = true;
  std::vector<std::string> names_;
};

// What the server knows of a role.
struct ScramUser {
  ScramVerifier verifier;
  SlotRights slots;
};

// Who may connect: a file with a line NAME:VERIFIER for each, as this prints them:
//   SELECT rolname || ':' || rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL
// After the verifier and a space, "slots=NAMES" limits the role to these slots (SlotRights).
class ScramUsers {
 public:
  // File kSecretFile in directory `secrets` keeps the secret of the salts for unknown names, so that
  // they outlive this process; it is made when it is not there, and is no link. Null, or it cannot
  // be made: the secret comes from the users file's content, and the salts change with it from one
  // process to the next. kInvalidArgument: ReadSecretFile or Directory refuses a file. kCorrupt: a
  // bad line.
  static Result<ScramUsers> Open(const std::string& path, const Directory* secrets = nullptr);
  static constexpr const char* kSecretFile = "serve-wal.secret";
  // Reads the file again; on an error all stays as it was. Names that are not there keep their
  // salts.
  Status Reload(const std::string& path);

  // For a name that is not there, no slots and a verifier that no password fits, but always the
  // same salt, of the length and with the iterations of one that is there. It takes the same time.
  // So nobody learns which names there are (mock_scram_secret in libpq/auth-scram.c).
  ScramUser Find(const std::string& name) const;
  bool empty() const { return users_.empty(); }
  // Why the secret's file could not be made; empty: it is used, or no directory was given.
  const std::string& secret_trouble() const { return secret_trouble_; }

 private:
  // The cost and the shape of a verifier, one for each user.
  struct Shape {
    uint32_t iterations;
    size_t salt_size;
    auto operator<=>(const Shape&) const = default;
  };

  Status Take(const std::string& content, const std::string& path);
  Status SetUpSecret(const std::string& content, const Directory* directory);
  ScramVerifier Mock(const std::string& name) const;

  std::map<std::string, ScramUser> users_;
  std::vector<Shape> shapes_;  // of users_, sorted
  ScramKey secret_{};
  std::string secret_trouble_;
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
