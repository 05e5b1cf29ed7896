#include "cpp_core/backup/decrypt.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

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
    explicit_bzero(plain_.data(), plain_.size());
  }

  Result<size_t> Read(WritableBytes out) override {
    if (!decryption_) RETURN_IF_ERROR(Begin());
    while (ready_.empty() && !ended_) RETURN_IF_ERROR(DecryptPiece());
    const size_t count = std::min(out.size(), ready_.size());
    std::memcpy(out.data(), ready_.data(), count);
    ready_ = ready_.subspan(count);
    return count;
  }

 private:
  Status Begin() {
    uint8_t header[kEncryptedMagic.size() + Decryption::kSaltSize];
    const size_t magic_size = raw_ ? 0 : kEncryptedMagic.size();
    const size_t size = magic_size + Decryption::kSaltSize;
    ASSIGN_OR_RETURN(const size_t got, ReadFully(encrypted_.get(), {header, size}));
    if (got != size) return Corrupt("it is cut off");
    if (!raw_ && std::memcmp(header, kEncryptedMagic.data(), magic_size) != 0)
      return Corrupt("it is not encrypted");
    decryption_.emplace(passphrase_, header + magic_size);
    return {};
  }

  Status DecryptPiece() {
    std::array<uint8_t, kPieceSize> piece;
    ASSIGN_OR_RETURN(const size_t got, encrypted_->Read(piece));
    ended_ = got == 0;
    const std::optional<size_t> made =
        ended_ ? decryption_->Finish(plain_.data())
               : decryption_->Update(Bytes(piece.data(), got), plain_.data());
    if (!made) return Corrupt("it is damaged, or the passphrase is not the right one");
    ready_ = Bytes(plain_.data(), *made);
    return {};
  }

  tl::unexpected<Error> Corrupt(const char* why) const {
    return MakeError(ErrorCode::kCorrupt, fmt::format("could not decrypt {}: {}", name_, why));
  }

  const std::unique_ptr<ByteSource> encrypted_;
  std::string passphrase_;
  const bool raw_;
  const std::string name_;
  std::optional<Decryption> decryption_;
  std::array<uint8_t, kPieceSize + Decryption::kBlockSize> plain_;
  Bytes ready_;  // what is left of it
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> Decrypt(std::unique_ptr<ByteSource> encrypted, std::string passphrase,
                                    bool raw, std::string name) {
  return std::make_unique<DecryptSource>(std::move(encrypted), std::move(passphrase), raw,
                                         std::move(name));
}

}  // namespace neon_redo
