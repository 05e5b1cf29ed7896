// What WAL-G writes beside the archives of a backup of PostgreSQL: the sentinel, which it writes last, and
// files_metadata.json (BackupSentinelDto and FilesMetadataDto in
// internal/databases/postgres/backup_sentinel_dto.go of its source).
#ifndef NEON_REDO_BACKUP_WALG_SENTINEL_H_
#define NEON_REDO_BACKUP_WALG_SENTINEL_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

struct WalgSentinel {
  Lsn start;  // "LSN"
  // Of a delta backup: the backup that it builds upon, and where that one began. Empty: it is full.
  std::string from{};        // "DeltaFrom"
  std::optional<Lsn> delta;  // "DeltaLSN"
  std::optional<uint64_t> system_identifier;
  uint32_t pg_version = 0;                      // as server_version_num: 150004; 0: not told
  std::map<uint32_t, std::string> tablespaces;  // where they were, by OID: "Spec"
  bool has_no_files_metadata = false;           // "FilesMetadataDisabled"
  bool has_own_file_list = false;  // "Version" 2 or later: there is a files_metadata.json
};

// "base_000000010000000000000002", "base_000000010000000000000007_D_000000010000000000000002": a name of one
// directory that begins so.
bool IsWalgName(std::string_view text);

// `where` is for messages. kCorrupt: it is damaged, or no sentinel of a backup of PostgreSQL.
Result<WalgSentinel> ParseWalgSentinel(std::string_view text, const std::string& where);

// What a backup has of a file: all of it; the blocks that changed; or nothing, since it is as in the backup
// before (BackupFileDescription in internal/backup_file_description.go).
enum class WalgFileState : uint8_t { kWhole, kIncrement, kSkipped };

// By name in the cluster, directories too. About 100 bytes of memory a file.
using WalgFiles = std::map<std::string, WalgFileState, std::less<>>;

inline constexpr std::string_view kWalgFilesName = "files_metadata.json";

// As WAL-G writes them, more do not fit into a file of 1 GiB, and no larger one is read.
inline constexpr size_t kMostWalgFiles = 10'000'000;

// "Files" of files_metadata.json, or of a sentinel of old versions; empty: it has none. kCorrupt: it is
// damaged, a name leads out of the backup, or there are more than `most`.
Result<WalgFiles> ParseWalgFiles(std::string_view text, const std::string& where,
                                 size_t most = kMostWalgFiles);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_WALG_SENTINEL_H_
