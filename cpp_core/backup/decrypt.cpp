#include "cpp_core/backup/decrypt.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr std::string_view kMagic = "Salted__";
constexpr size_t kSaltSize = 8;  // PKCS5_SALT_LEN
constexpr size_t kPieceSize = 32 * 1024;

class DecryptSource : public ByteSource {
 public:
  DecryptSource(std::unique_ptr<ByteSource> encrypted, std::string passphrase, bool raw,
                std::string name)
      : encrypted_(std::move(encrypted)),
        passphrase_(std::move(passphrase)),
        raw_(raw),
        name_(std::move(name)) {}
  ~DecryptSource() override {
    WipeSecret(&passphrase_);
    OPENSSL_cleanse(plain_.data(), plain_.size());
  }

  Result<size_t> Read(WritableBytes out) override {
    if (context_ == nullptr) RETURN_IF_ERROR(Begin());
    while (ready_.empty() && !ended_) RETURN_IF_ERROR(DecryptPiece());
    const size_t count = std::min(out.size(), ready_.size());
    std::memcpy(out.data(), ready_.data(), count);
    ready_ = ready_.subspan(count);
    return count;
  }

 private:
  struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };

  Status Begin() {
    uint8_t header[kMagic.size() + kSaltSize];
    const size_t magic_size = raw_ ? 0 : kMagic.size();
    ASSIGN_OR_RETURN(const size_t got,
                     ReadFully(encrypted_.get(), {header, magic_size + kSaltSize}));
    if (got != magic_size + kSaltSize) return Corrupt("it is cut off");
    if (!raw_ && std::memcmp(header, kMagic.data(), kMagic.size()) != 0)
      return Corrupt("it is not encrypted");
    std::array<uint8_t, EVP_MAX_KEY_LENGTH> key;
    std::array<uint8_t, EVP_MAX_IV_LENGTH> vector;
    const int length =
        EVP_BytesToKey(EVP_aes_256_cbc(), EVP_sha1(), header + magic_size,
                       reinterpret_cast<const uint8_t*>(passphrase_.data()),
                       static_cast<int>(passphrase_.size()), 1, key.data(), vector.data());
    context_.reset(EVP_CIPHER_CTX_new());
    const bool begun = length > 0 && context_ != nullptr &&
                       EVP_DecryptInit_ex(context_.get(), EVP_aes_256_cbc(), nullptr, key.data(),
                                          vector.data()) == 1;
    OPENSSL_cleanse(key.data(), key.size());
    OPENSSL_cleanse(vector.data(), vector.size());
    if (begun) return {};
    return MakeError(ErrorCode::kUnsupported,
                     fmt::format("could not decrypt {}: OpenSSL refused AES-256-CBC", name_));
  }

  Status DecryptPiece() {
    std::array<uint8_t, kPieceSize> piece;
    ASSIGN_OR_RETURN(const size_t got, encrypted_->Read(piece));
    int made = 0;
    const bool right = got == 0 ? EVP_DecryptFinal_ex(context_.get(), plain_.data(), &made) == 1
                                : EVP_DecryptUpdate(context_.get(), plain_.data(), &made,
                                                    piece.data(), static_cast<int>(got)) == 1;
    ended_ = got == 0;
    if (!right) return Corrupt("it is damaged, or the passphrase is not the right one");
    ready_ = Bytes(plain_.data(), static_cast<size_t>(made));
    return {};
  }

  tl::unexpected<Error> Corrupt(const char* why) const {
    return MakeError(ErrorCode::kCorrupt, fmt::format("could not decrypt {}: {}", name_, why));
  }

  const std::unique_ptr<ByteSource> encrypted_;
  std::string passphrase_;
  const bool raw_;
  const std::string name_;
  std::unique_ptr<EVP_CIPHER_CTX, Free> context_;
  std::array<uint8_t, kPieceSize + EVP_MAX_BLOCK_LENGTH> plain_;
  Bytes ready_;  // what is left of it
  bool ended_ = false;
};

}  // namespace

bool LooksEncrypted(std::string_view text) { return text.starts_with(kMagic); }

std::unique_ptr<ByteSource> Decrypt(std::unique_ptr<ByteSource> encrypted, std::string passphrase,
                                    bool raw, std::string name) {
  return std::make_unique<DecryptSource>(std::move(encrypted), std::move(passphrase), raw,
                                         std::move(name));
}

}  // namespace neon_redo
