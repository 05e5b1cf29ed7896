// Checksums of whole files, as backup_manifest has them (common/checksum_helper.h).
#ifndef NEON_REDO_BACKUP_CHECKSUM_H_
#define NEON_REDO_BACKUP_CHECKSUM_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "neon_redo/bytes.h"
#include "neon_redo/error.h"

namespace neon_redo {

// pg_checksum_type; and SHA-1, which pgBackRest has.
enum class ChecksumKind : uint8_t { kNone, kCrc32c, kSha224, kSha256, kSha384, kSha512, kSha1 };

// "NONE", "CRC32C", "SHA224", …
const char* ChecksumName(ChecksumKind kind);
// In upper or lower case (pg_checksum_parse_type). Nothing: backup_manifest has no such kind.
std::optional<ChecksumKind> ParseChecksumKind(std::string_view name);
// Bytes of a checksum: 0, 4, 28, 32, 48, 64 or 20.
size_t ChecksumSize(ChecksumKind kind);

// The checksum of bytes that come piece by piece. Move-only. Not thread-safe.
class FileChecksum {
 public:
  // kOutOfMemory, kUnsupported: OpenSSL cannot compute it (a restricted configuration).
  static Result<FileChecksum> Make(ChecksumKind kind);

  Status Add(Bytes bytes);
  // The checksum as bytes: of CRC32C in the order of memory (pg_checksum_final). Call once.
  Result<std::string> Finish();

 private:
  struct Free {
    void operator()(void* context) const;
  };
  explicit FileChecksum(ChecksumKind kind) : kind_(kind) {}

  ChecksumKind kind_;
  uint32_t crc_ = 0xffffffffu;           // kCrc32cInit
  std::unique_ptr<void, Free> context_;  // EVP_MD_CTX; null where none is needed
};

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_CHECKSUM_H_
