// A client that knows its password, for what lies behind SCRAM-SHA-256-PLUS.
#ifndef NEON_REDO_TESTS_FUZZ_SCRAM_CLIENT_H_
#define NEON_REDO_TESTS_FUZZ_SCRAM_CLIENT_H_

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <string>
#include <string_view>

#include "tests/unit/session_client.h"

namespace neon_redo {

// Of the password "pencil", with the salt of RFC 7677's example.
inline constexpr const char* kScramVerifier =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkd"
    "i4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

// One exchange: First, then Final with the server's answer. Keys are computed once a process.
class ScramClient {
 public:
  explicit ScramClient(const std::string& channel) : bound_(kHeader + channel) {}

  std::string First() const {
    const std::string first = kHeader + std::string(kFirstBare);
    return ClientMessageBytes('p', std::string("SCRAM-SHA-256-PLUS") + '\0' +
                                       Int32(static_cast<uint32_t>(first.size())) + first);
  }

  // server_first: "r=NONCE,s=SALT,i=ITERATIONS".
  std::string Final(std::string_view server_first) const {
    static const Key client_key = Hmac(SaltedPassword(), "Client Key");
    static const Key stored_key = Sha256(client_key);
    const std::string nonce(server_first.substr(0, server_first.find(',')));
    const std::string bare = "c=" + Base64(bound_) + "," + nonce;
    Key proof =
        Hmac(stored_key, std::string(kFirstBare) + "," + std::string(server_first) + "," + bare);
    for (size_t i = 0; i < proof.size(); i++) proof[i] ^= client_key[i];
    return ClientMessageBytes(
        'p', bare + ",p=" + Base64({reinterpret_cast<const char*>(proof.data()), proof.size()}));
  }

 private:
  using Key = std::array<uint8_t, 32>;
  static constexpr const char* kHeader = "p=tls-server-end-point,,";
  static constexpr const char* kFirstBare = "n=,r=rOprNGfwEbeRWgbNEkqO";

  static std::string Base64(std::string_view bytes) {
    std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
    out.resize(static_cast<size_t>(EVP_EncodeBlock(reinterpret_cast<uint8_t*>(out.data()),
                                                   reinterpret_cast<const uint8_t*>(bytes.data()),
                                                   static_cast<int>(bytes.size()))));
    return out;
  }
  static Key Hmac(const Key& key, std::string_view text) {
    Key out;
    unsigned length = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const uint8_t*>(text.data()), text.size(), out.data(), &length);
    return out;
  }
  static Key Sha256(const Key& key) {
    Key out;
    EVP_Digest(key.data(), key.size(), out.data(), nullptr, EVP_sha256(), nullptr);
    return out;
  }
  static Key SaltedPassword() {
    const auto verifier = ParseScramVerifier(kScramVerifier);
    Key out;
    PKCS5_PBKDF2_HMAC("pencil", 6, reinterpret_cast<const uint8_t*>(verifier->salt.data()),
                      static_cast<int>(verifier->salt.size()),
                      static_cast<int>(verifier->iterations), EVP_sha256(),
                      static_cast<int>(out.size()), out.data());
    return out;
  }

  const std::string bound_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_TESTS_FUZZ_SCRAM_CLIENT_H_
