#include "cpp_core/backup/checksum.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <strings.h>

#include "cpp_core/base/crc32c.h"

namespace neon_redo {

namespace {

constexpr struct {
  ChecksumKind kind;
  const char* name;
  size_t size;
} kChecksums[] = {
    {ChecksumKind::kNone, "NONE", 0},      {ChecksumKind::kCrc32c, "CRC32C", 4},
    {ChecksumKind::kSha224, "SHA224", 28}, {ChecksumKind::kSha256, "SHA256", 32},
    {ChecksumKind::kSha384, "SHA384", 48}, {ChecksumKind::kSha512, "SHA512", 64},
    {ChecksumKind::kSha1, "SHA1", 20},
};

EVP_MD_CTX* ContextOf(void* context) { return static_cast<EVP_MD_CTX*>(context); }

const EVP_MD* DigestOf(ChecksumKind kind) {
  switch (kind) {
    case ChecksumKind::kSha224:
      return EVP_sha224();
    case ChecksumKind::kSha256:
      return EVP_sha256();
    case ChecksumKind::kSha384:
      return EVP_sha384();
    case ChecksumKind::kSha512:
      return EVP_sha512();
    case ChecksumKind::kSha1:
      return EVP_sha1();
    default:
      return nullptr;
  }
}

tl::unexpected<Error> DigestError(ChecksumKind kind) {
  return MakeError(
      ErrorCode::kUnsupported,
      fmt::format("could not compute a {} checksum: OpenSSL refused it", ChecksumName(kind)));
}

}  // namespace

const char* ChecksumName(ChecksumKind kind) { return kChecksums[static_cast<size_t>(kind)].name; }
size_t ChecksumSize(ChecksumKind kind) { return kChecksums[static_cast<size_t>(kind)].size; }

std::optional<ChecksumKind> ParseChecksumKind(std::string_view name) {
  const std::string text(name);
  for (const auto& checksum : kChecksums)
    if (checksum.kind != ChecksumKind::kSha1 &&
        text.size() == std::string_view(checksum.name).size() &&
        strcasecmp(checksum.name, text.c_str()) == 0)
      return checksum.kind;
  return std::nullopt;
}

void FileChecksum::Free::operator()(void* context) const { EVP_MD_CTX_free(ContextOf(context)); }

Result<FileChecksum> FileChecksum::Make(ChecksumKind kind) {
  FileChecksum out(kind);
  if (const EVP_MD* digest = DigestOf(kind)) {
    out.context_.reset(EVP_MD_CTX_new());
    if (out.context_ == nullptr) return MakeError(ErrorCode::kOutOfMemory, "out of memory");
    if (EVP_DigestInit_ex(ContextOf(out.context_.get()), digest, nullptr) != 1)
      return DigestError(kind);
  }
  return out;
}

Status FileChecksum::Add(Bytes bytes) {
  if (kind_ == ChecksumKind::kCrc32c) crc_ = Crc32cExtend(crc_, bytes);
  if (context_ != nullptr &&
      EVP_DigestUpdate(ContextOf(context_.get()), bytes.data(), bytes.size()) != 1)
    return DigestError(kind_);
  return {};
}

Result<std::string> FileChecksum::Finish() {
  std::string out(ChecksumSize(kind_), '\0');
  if (kind_ == ChecksumKind::kCrc32c) {
    const uint32_t crc = Crc32cFinish(crc_);
    out.assign(reinterpret_cast<const char*>(&crc), sizeof(crc));
  }
  if (context_ != nullptr &&
      EVP_DigestFinal_ex(ContextOf(context_.get()), reinterpret_cast<uint8_t*>(out.data()),
                         nullptr) != 1)
    return DigestError(kind_);
  return out;
}

}  // namespace neon_redo
