// The file backup_manifest of a base backup (backup/backup_manifest.c, common/parse_manifest.c).
#ifndef NEON_REDO_BACKUP_MANIFEST_H_
#define NEON_REDO_BACKUP_MANIFEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpp_core/backup/checksum.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

inline constexpr const char* kManifestFile = "backup_manifest";

struct ManifestFile {
  std::string path;  // below the backup's directory; never leaves it
  uint64_t size = 0;
  ChecksumKind kind = ChecksumKind::kNone;
  std::string checksum;  // ChecksumSize(kind) bytes
};

struct ManifestWalRange {
  uint32_t timeline = 0;
  Lsn start, end;
};

struct BackupManifest {
  int version = 0;                              // 1, or 2 (17 and later)
  std::optional<uint64_t> system_identifier{};  // version 2
  std::vector<ManifestFile> files;              // by path; no path twice
  std::vector<ManifestWalRange> wal_ranges;

  // Null: it has no such file.
  const ManifestFile* Find(std::string_view path) const;
};

// Parses a manifest and checks its own checksum. kCorrupt: it is damaged, or names a file outside the
// backup. Thread-safe. Memory: the text's size again, about.
Result<BackupManifest> ParseBackupManifest(std::string_view text);

// What programs other than the one that took the backup write, and pg_verifybackup therefore leaves
// out: "backup_manifest", "pg_wal" and all below it, "postgresql.auto.conf", "recovery.signal",
// "standby.signal".
bool IsIgnoredByManifest(std::string_view path);

// A path that stays below the directory it is relative to, and is written in one way only: no empty
// part, no "." and "..", no zero byte.
bool IsSafeRelativePath(std::string_view path);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_MANIFEST_H_
