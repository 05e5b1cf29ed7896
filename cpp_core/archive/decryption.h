// What `openssl enc -aes-256-cbc -md sha1` encrypts, as pgBackRest does (common/crypto/cipherBlock.c).
#ifndef NEON_REDO_ARCHIVE_DECRYPTION_H_
#define NEON_REDO_ARCHIVE_DECRYPTION_H_

#include <nettle/aes.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "neon_redo/bytes.h"

namespace neon_redo {

inline constexpr std::string_view kEncryptedMagic = "Salted__";

// Whether the bytes begin as what is encrypted does: the magic, and then a salt.
inline bool LooksEncrypted(std::string_view text) { return text.starts_with(kEncryptedMagic); }

// Not thread-safe. What was decrypted can be damaged without an error: AES-CBC has no checksum.
class Decryption {
 public:
  static constexpr size_t kSaltSize = 8;  // PKCS5_SALT_LEN
  static constexpr size_t kBlockSize = AES_BLOCK_SIZE;

  Decryption(std::string_view passphrase, const uint8_t* salt);
  ~Decryption();
  Decryption(const Decryption&) = delete;
  Decryption& operator=(const Decryption&) = delete;

  // Decrypts what follows the salt, piece by piece. Returns how much was written to `out`, which has
  // room for kBlockSize bytes more than `in` has, and is other memory.
  size_t Update(Bytes in, uint8_t* out);
  // The rest, of less than kBlockSize bytes. Nothing: it does not end as what was encrypted with this
  // passphrase does.
  std::optional<size_t> Finish(uint8_t* out);

 private:
  aes256_ctx context_;
  uint8_t vector_[kBlockSize];
  uint8_t pending_[kBlockSize];  // encrypted, of the block that may be the last
  size_t pending_size_ = 0;
};

}  // namespace neon_redo

#endif  // NEON_REDO_ARCHIVE_DECRYPTION_H_
