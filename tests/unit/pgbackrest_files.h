// Files as pgBackRest writes them.
#ifndef NEON_REDO_TESTS_UNIT_PGBACKREST_FILES_H_
#define NEON_REDO_TESTS_UNIT_PGBACKREST_FILES_H_

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cpp_core/backup/checksum.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

inline Bytes AsBytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

inline std::string Hex(const std::string& bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return out;
}

inline std::string Sha1(const std::string& text) {
  auto checksum = FileChecksum::Make(ChecksumKind::kSha1);
  EXPECT_TRUE(checksum->Add(AsBytes(text)));
  return Hex(checksum->Finish().value_or(""));
}

using Section = std::pair<std::string, std::vector<std::pair<std::string, std::string>>>;

// An info file with its own checksum. Values are JSON.
inline std::string Info(std::vector<Section> sections, const std::string& version = "2.55.1") {
  sections.insert(
      sections.begin(),
      {"backrest", {{"backrest-format", "5"}, {"backrest-version", "\"" + version + "\""}}});
  std::string text, covered;
  for (const auto& [section, lines] : sections) {
    if (lines.empty()) continue;
    text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section);
    covered += fmt::format("{}\"{}\":{{", covered.empty() ? "{" : "},", section);
    for (size_t i = 0; i < lines.size(); i++) {
      text += fmt::format("{}={}\n", lines[i].first, lines[i].second);
      covered += fmt::format("{}{}:{}", i > 0 ? "," : "", nlohmann::json(lines[i].first).dump(),
                             lines[i].second);
    }
  }
  return text + fmt::format("\n[backrest]\nbackrest-checksum=\"{}\"\n", Sha1(covered + "}}"));
}

// As openssl enc does.
inline std::string Encrypted(const std::string& plain, const std::string& passphrase, bool raw) {
  const std::string salt = "saltsalt";
  uint8_t key[32], vector[16];
  EVP_BytesToKey(EVP_aes_256_cbc(), EVP_sha1(), reinterpret_cast<const uint8_t*>(salt.data()),
                 reinterpret_cast<const uint8_t*>(passphrase.data()),
                 static_cast<int>(passphrase.size()), 1, key, vector);
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  EVP_EncryptInit_ex(context, EVP_aes_256_cbc(), nullptr, key, vector);
  std::string out(plain.size() + 32, '\0');
  int made = 0, last = 0;
  auto* begin = reinterpret_cast<uint8_t*>(out.data());
  EVP_EncryptUpdate(context, begin, &made, reinterpret_cast<const uint8_t*>(plain.data()),
                    static_cast<int>(plain.size()));
  EVP_EncryptFinal_ex(context, begin + made, &last);
  EVP_CIPHER_CTX_free(context);
  out.resize(static_cast<size_t>(made) + static_cast<size_t>(last));
  return (raw ? "" : "Salted__") + salt + out;
}

}  // namespace neon_redo

#endif  // NEON_REDO_TESTS_UNIT_PGBACKREST_FILES_H_
