#include "cpp_core/archive/decryption.h"

#include <nettle/cbc.h>
#include <nettle/sha1.h>

#include <algorithm>
#include <cstring>

namespace neon_redo {

namespace {

void Wipe(void* bytes, size_t size) { explicit_bzero(bytes, size); }

}  // namespace

// Key and vector are digests, each of the one before, the passphrase and the salt (EVP_BytesToKey with
// one iteration).
Decryption::Decryption(std::string_view passphrase, const uint8_t* salt) {
  uint8_t derived[AES256_KEY_SIZE + kBlockSize];
  uint8_t digest[SHA1_DIGEST_SIZE];
  for (size_t done = 0; done < sizeof(derived);) {
    sha1_ctx sha1;
    sha1_init(&sha1);
    if (done > 0) sha1_update(&sha1, sizeof(digest), digest);
    sha1_update(&sha1, passphrase.size(), reinterpret_cast<const uint8_t*>(passphrase.data()));
    sha1_update(&sha1, kSaltSize, salt);
    sha1_digest(&sha1, sizeof(digest), digest);
    const size_t part = std::min(sizeof(digest), sizeof(derived) - done);
    std::memcpy(derived + done, digest, part);
    done += part;
  }
  aes256_set_decrypt_key(&context_, derived);
  std::memcpy(vector_, derived + AES256_KEY_SIZE, kBlockSize);
  Wipe(derived, sizeof(derived));
  Wipe(digest, sizeof(digest));
}

Decryption::~Decryption() { Wipe(&context_, sizeof(context_)); }

size_t Decryption::Update(Bytes in, uint8_t* out) {
  if (in.empty()) return 0;
  const size_t total = pending_size_ + in.size();
  const size_t ready = (total - 1) / kBlockSize * kBlockSize;
  // Of a short piece nothing may be ready.
  const size_t from_pending = std::min(pending_size_, ready);
  const size_t from_in = ready - from_pending;
  std::memcpy(out, pending_, from_pending);
  std::memcpy(out + from_pending, in.data(), from_in);
  if (ready > 0) pending_size_ = 0;
  std::memcpy(pending_ + pending_size_, in.data() + from_in, in.size() - from_in);
  pending_size_ += in.size() - from_in;
  cbc_decrypt(&context_, reinterpret_cast<nettle_cipher_func*>(aes256_decrypt), kBlockSize, vector_,
              ready, out, out);
  return ready;
}

// The last block is filled up with bytes that say how many they are (PKCS #7).
std::optional<size_t> Decryption::Finish(uint8_t* out) {
  if (pending_size_ != kBlockSize) return std::nullopt;
  uint8_t block[kBlockSize];
  cbc_decrypt(&context_, reinterpret_cast<nettle_cipher_func*>(aes256_decrypt), kBlockSize, vector_,
              kBlockSize, block, pending_);
  const size_t filling = block[kBlockSize - 1];
  if (filling == 0 || filling > kBlockSize ||
      !std::all_of(block + kBlockSize - filling, block + kBlockSize,
                   [filling](uint8_t byte) { return byte == filling; }))
    return std::nullopt;
  std::memcpy(out, block, kBlockSize - filling);
  return kBlockSize - filling;
}

}  // namespace neon_redo
