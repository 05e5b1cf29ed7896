// The client proves that it knows ClientKey, of which the server has only the hash (StoredKey):
// ClientKey = proof XOR HMAC(StoredKey, AuthMessage). The server proves itself by
// HMAC(ServerKey, AuthMessage). libgsasl, which would do this, refuses the empty user name that
// libpq sends in here (the name is that of the startup packet).
#include "cpp_core/wal_server/scram.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/wal_server/slots.h"
#include "neon_redo/bytes.h"
#include "neon_redo/describe.h"

namespace neon_redo {

using namespace std::string_view_literals;

namespace {

constexpr std::string_view kPrefix = "SCRAM-SHA-256$";
constexpr std::string_view kBoundHeader = "p=tls-server-end-point,,";
constexpr size_t kNonceBytes = 18;  // SCRAM_RAW_NONCE_LEN
constexpr size_t kSaltBytes = 16;   // SCRAM_DEFAULT_SALT_LEN
constexpr uint32_t kIterations = 4096;
constexpr std::string_view kSlotsOption = "slots=";
constexpr size_t kMaxUsersFile = 16 << 20;
constexpr size_t kMaxSecretFile = 4096;

std::string Base64(const uint8_t* bytes, size_t size) {
  std::string out(4 * ((size + 2) / 3) + 1, '\0');
  const int n =
      EVP_EncodeBlock(reinterpret_cast<uint8_t*>(out.data()), bytes, static_cast<int>(size));
  out.resize(static_cast<size_t>(n));
  return out;
}

std::optional<std::string> FromBase64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  // EVP_DecodeBlock forgives blanks around it.
  for (const char c : text.substr(0, text.size() - padding))
    if (!isalnum(static_cast<unsigned char>(c)) && c != '+' && c != '/') return std::nullopt;
  std::string out(text.size() / 4 * 3, '\0');
  if (EVP_DecodeBlock(reinterpret_cast<uint8_t*>(out.data()),
                      reinterpret_cast<const uint8_t*>(text.data()),
                      static_cast<int>(text.size())) < 0)
    return std::nullopt;
  out.resize(out.size() - padding);
  return out;
}

bool ReadKey(std::string_view text, ScramKey* out) {
  const auto bytes = FromBase64(text);
  if (!bytes || bytes->size() != out->size()) return false;
  std::memcpy(out->data(), bytes->data(), out->size());
  return true;
}

ScramKey Hmac(const ScramKey& key, std::string_view text) {
  ScramKey out;
  unsigned length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const uint8_t*>(text.data()), text.size(), out.data(), &length);
  return out;
}

ScramKey Sha256(const ScramKey& key) {
  ScramKey out;
  EVP_Digest(key.data(), key.size(), out.data(), nullptr, EVP_sha256(), nullptr);
  return out;
}

// "c=value" at the start of *rest, up to the next comma.
std::optional<std::string_view> TakeAttribute(std::string_view* rest, char name) {
  if (rest->size() < 2 || (*rest)[0] != name || (*rest)[1] != '=') return std::nullopt;
  const size_t comma = rest->find(',');
  const std::string_view value =
      rest->substr(2, comma == std::string_view::npos ? comma : comma - 2);
  rest->remove_prefix(comma == std::string_view::npos ? rest->size() : comma + 1);
  return value;
}

bool IsPrintable(std::string_view text) {
  for (const char c : text)
    if (c < 0x21 || c > 0x7e || c == ',') return false;
  return !text.empty();
}

tl::unexpected<Error> Malformed(const char* what) { return MakeError(ErrorCode::kCorrupt, what); }

}  // namespace

Result<ScramVerifier> ParseScramVerifier(std::string_view text) {
  const auto bad = MakeError(ErrorCode::kCorrupt, "not a SCRAM-SHA-256 verifier");
  if (!text.starts_with(kPrefix)) return bad;
  text.remove_prefix(kPrefix.size());
  const size_t colon = text.find(':');
  const size_t dollar = text.find('$');
  const size_t last = text.rfind(':');
  if (colon == std::string_view::npos || dollar == std::string_view::npos || dollar < colon ||
      last < dollar)
    return bad;
  ScramVerifier out;
  const auto [end, error] = std::from_chars(text.data(), text.data() + colon, out.iterations);
  const auto salt = FromBase64(text.substr(colon + 1, dollar - colon - 1));
  if (error != std::errc{} || end != text.data() + colon || out.iterations == 0 || !salt ||
      !ReadKey(text.substr(dollar + 1, last - dollar - 1), &out.stored_key) ||
      !ReadKey(text.substr(last + 1), &out.server_key))
    return bad;
  out.salt = *salt;
  return out;
}

SlotRights SlotRights::None() {
  SlotRights out;
  out.all_ = false;
  return out;
}

Result<SlotRights> SlotRights::Of(std::string_view names) {
  SlotRights out = None();
  std::string sqlstate;
  while (!names.empty()) {
    const size_t comma = std::min(names.find(','), names.size());
    const std::string name(names.substr(0, comma));
    const std::string stem = name.ends_with('*') ? name.substr(0, name.size() - 1) : name;
    const std::string problem = stem.empty() ? "" : SlotNameProblem(stem, &sqlstate);
    if (!problem.empty()) return MakeError(ErrorCode::kCorrupt, problem);
    if (!name.empty()) out.names_.push_back(name);
    names.remove_prefix(std::min(comma + 1, names.size()));
  }
  return out;
}

bool SlotRights::Allow(std::string_view slot) const {
  return all_ || std::any_of(names_.begin(), names_.end(), [slot](std::string_view name) {
           return name.ends_with('*') ? slot.starts_with(name.substr(0, name.size() - 1))
                                      : slot == name;
         });
}

Result<ScramUsers> ScramUsers::Open(const std::string& path, const Directory* secrets) {
  ScramUsers out;
  ASSIGN_OR_RETURN(std::string content, ReadSecretFile(path, "users file", kMaxUsersFile));
  RETURN_IF_ERROR(out.Take(content, path));
  RETURN_IF_ERROR(out.SetUpSecret(content, secrets));
  WipeSecret(&content);
  return out;
}

Status ScramUsers::Reload(const std::string& path) {
  ASSIGN_OR_RETURN(std::string content, ReadSecretFile(path, "users file", kMaxUsersFile));
  RETURN_IF_ERROR(Take(content, path));
  WipeSecret(&content);
  return {};
}

Status ScramUsers::SetUpSecret(const std::string& content, const Directory* directory) {
  // The verifiers' keys are secret, so this cannot be guessed either.
  secret_ = Hmac({}, "neon_redo salts for unknown roles\n" + content);
  if (!directory) return {};
  const auto file = directory->OpenFile(kSecretFile, O_RDONLY);
  if (!file && file.error().code == ErrorCode::kNotFound) {
    ScramKey fresh;
    if (RAND_bytes(fresh.data(), static_cast<int>(fresh.size())) != 1)
      return MakeError(ErrorCode::kIo, "could not generate random numbers");
    const std::string line = Base64(fresh.data(), fresh.size()) + "\n";
    const Status written = directory->WriteFile(
        kSecretFile, Bytes(reinterpret_cast<const uint8_t*>(line.data()), line.size()));
    if (!written) {
      secret_trouble_ = written.error().message;
      return {};
    }
    secret_ = fresh;
    return {};
  }
  if (!file) return tl::unexpected(file.error());
  const std::string path = directory->PathOf(kSecretFile);
  ASSIGN_OR_RETURN(std::string stored, ReadSecret(*file, path, "secret file", kMaxSecretFile));
  while (stored.ends_with('\n')) stored.pop_back();
  const bool good = ReadKey(stored, &secret_);
  WipeSecret(&stored);
  if (!good)
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("secret file \"{}\" does not hold 32 bytes in base64; remove it "
                                 "to have it made again",
                                 path));
  return {};
}

Status ScramUsers::Take(const std::string& content, const std::string& path) {
  std::map<std::string, ScramUser> users;
  std::vector<Shape> shapes;
  size_t number = 0;
  for (std::string_view rest = content; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    number++;
    if (line.empty() || line[0] == '#') continue;
    const size_t colon = line.find(":" + std::string(kPrefix));
    std::string_view text =
        colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
    ScramUser user;
    if (const size_t space = text.find(' '); space != std::string_view::npos) {
      const std::string_view option = text.substr(space + 1);
      if (!option.starts_with(kSlotsOption))
        return MakeError(ErrorCode::kCorrupt,
                         fmt::format("line {} of users file \"{}\" has something other than "
                                     "\"slots=NAMES\" after the verifier",
                                     number, path));
      auto slots = SlotRights::Of(option.substr(kSlotsOption.size()));
      if (!slots)
        return MakeError(ErrorCode::kCorrupt,
                         fmt::format("line {} of users file \"{}\": {}", number, path,
                                     Printable(slots.error().message)));
      user.slots = std::move(*slots);
      text = text.substr(0, space);
    }
    const auto verifier = ParseScramVerifier(text);
    if (!verifier || colon == 0)
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("line {} of users file \"{}\" is not NAME:VERIFIER with a "
                                   "SCRAM-SHA-256 verifier",
                                   number, path));
    user.verifier = *verifier;
    users[std::string(line.substr(0, colon))] = std::move(user);
  }
  shapes.reserve(users.size());
  for (const auto& [name, user] : users)
    shapes.push_back({user.verifier.iterations, user.verifier.salt.size()});
  std::sort(shapes.begin(), shapes.end());
  users_ = std::move(users);
  shapes_ = std::move(shapes);
  return {};
}

// The salt of an unknown name has the length and the iterations of a user's, chosen by the name: in
// a file whose verifiers were all made alike, that is those of every user.
ScramVerifier ScramUsers::Mock(const std::string& name) const {
  ScramVerifier mock;
  const ScramKey choice = Hmac(secret_, name + "\3");
  Shape shape{kIterations, kSaltBytes};
  if (!shapes_.empty()) shape = shapes_[LoadBe32(choice.data()) % shapes_.size()];
  mock.iterations = shape.iterations;
  for (std::string block = name; mock.salt.size() < shape.salt_size; block += '\4') {
    const ScramKey salt = Hmac(secret_, block);
    mock.salt.append(reinterpret_cast<const char*>(salt.data()), salt.size());
  }
  mock.salt.resize(shape.salt_size);
  // No ClientKey is known whose hash this is.
  mock.stored_key = Hmac(secret_, name + "\1");
  mock.server_key = Hmac(secret_, name + "\2");
  return mock;
}

// The mock is made for every name. Otherwise the time taken would show which names exist.
ScramUser ScramUsers::Find(const std::string& name) const {
  ScramUser mock{Mock(name), SlotRights::None()};
  const auto it = users_.find(name);
  return it != users_.end() ? it->second : mock;
}

Result<std::string> MakeScramNonce() {
  uint8_t bytes[kNonceBytes];
  if (RAND_bytes(bytes, sizeof(bytes)) != 1)
    return MakeError(ErrorCode::kIo, "could not generate random numbers");
  return Base64(bytes, sizeof(bytes));
}

// "p=TYPE,," with channel binding, "n,," without, "y,," if the client could, but thinks that we can
// not: had we offered it, somebody in between has kept that from the client. No authorization
// identity is taken.
Status ScramExchange::TakeHeader(std::string_view* message) {
  const std::string_view header = binding_.chosen             ? kBoundHeader
                                  : message->starts_with('y') ? "y,,"sv
                                                              : "n,,"sv;
  if (!message->starts_with(header))
    return Malformed(binding_.chosen
                         ? "Expected channel binding by tls-server-end-point and no authorization "
                           "identity."
                         : "Expected no channel binding and no authorization identity.");
  if (header == "y,," && !binding_.data.empty())
    return MakeError(ErrorCode::kUnsupported, "SCRAM channel binding negotiation error");
  gs2_header_ = header;
  message->remove_prefix(header.size());
  return {};
}

// The header, "n=USER,r=NONCE": the name (ignored, as by PostgreSQL), the client's nonce.
Result<std::string> ScramExchange::First(std::string_view message) {
  RETURN_IF_ERROR(TakeHeader(&message));
  std::string_view rest = message;
  const auto user = TakeAttribute(&rest, 'n');
  const auto nonce = TakeAttribute(&rest, 'r');
  if (!user || !nonce || !IsPrintable(*nonce))
    return Malformed("Expected a user name and a nonce.");
  nonce_ = std::string(*nonce) + nonce_;
  const std::string answer = fmt::format(
      "r={},s={},i={}", nonce_,
      Base64(reinterpret_cast<const uint8_t*>(verifier_.salt.data()), verifier_.salt.size()),
      verifier_.iterations);
  auth_message_ = std::string(message) + "," + answer + ",";
  return answer;
}

// "c=BASE64(header, channel binding data),r=NONCE,p=PROOF"
Result<std::string> ScramExchange::Final(std::string_view message) {
  const size_t proof_at = message.rfind(",p=");
  if (proof_at == std::string_view::npos) return Malformed("Expected a proof.");
  std::string_view rest = message.substr(0, proof_at);
  const auto binding = TakeAttribute(&rest, 'c');
  const auto nonce = TakeAttribute(&rest, 'r');
  ScramKey proof;
  if (!binding || !nonce || !ReadKey(message.substr(proof_at + 3), &proof))
    return Malformed("Expected channel binding, nonce and proof.");
  if (FromBase64(*binding) != gs2_header_ + (binding_.chosen ? binding_.data : "")) {
    if (binding_.chosen)
      return MakeError(ErrorCode::kUnsupported, "SCRAM channel binding check failed");
    return Malformed("Unexpected channel binding.");
  }
  if (*nonce != nonce_) return Malformed("Nonce does not match.");
  auth_message_ += message.substr(0, proof_at);
  const ScramKey signature = Hmac(verifier_.stored_key, auth_message_);
  ScramKey client_key;
  for (size_t i = 0; i < client_key.size(); i++)
    client_key[i] = static_cast<uint8_t>(proof[i] ^ signature[i]);
  const ScramKey hash = Sha256(client_key);
  if (CRYPTO_memcmp(hash.data(), verifier_.stored_key.data(), hash.size()) != 0)
    return MakeError(ErrorCode::kInvalidArgument, "wrong password");
  const ScramKey server_signature = Hmac(verifier_.server_key, auth_message_);
  return "v=" + Base64(server_signature.data(), server_signature.size());
}

}  // namespace neon_redo
