// Where WAL-G keeps the backups of a cluster: basebackups_005 with NAME_backup_stop_sentinel.json and
// NAME/{files_metadata.json,metadata.json,tar_partitions/} for each.
#ifndef NEON_REDO_BACKUP_WALG_REPOSITORY_H_
#define NEON_REDO_BACKUP_WALG_REPOSITORY_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/backup/tar_backup.h"
#include "cpp_core/backup/walg_sentinel.h"
#include "neon_redo/error.h"

namespace neon_redo {

struct WalgLayout {
  std::string directory;  // basebackups_005, wherever it is
  std::string name;       // of the backup
};

// The storage of a cluster, its basebackups_005, or the backup at `path`. Nothing: it is none of these.
// kInvalidArgument: it has no complete backup, or none of options.label. A stanza and a passphrase may be those
// of the WAL. Of several backups the newest is the one with the latest timeline and segment in its name, and with
// the latest LSN of those, since a copy of the storage has other times of files than WAL-G goes by.
Result<std::optional<WalgLayout>> FindWalgBackup(const std::string& path,
                                                 const BaseBackupOptions& options);

// One backup of a chain.
struct WalgLink {
  std::string name;
  WalgSentinel sentinel;
  WalgFiles files{};  // empty: the backup is full, and has what its archives have

  // What it has of a file that it lists; nothing: it does not list the file.
  std::optional<WalgFileState> Find(std::string_view file) const;
};

// The backup and those that it builds upon, the newest first; the last is full. kCorrupt: a file of them is
// damaged, a backup is missing or is another one, or they go round in a circle.
Result<std::vector<WalgLink>> ReadWalgChain(const WalgLayout& layout);

// The archives of a backup. kCorrupt: there are none. kUnsupported: they are encrypted, or packed by a
// program whose files are not read.
Result<TarLayout> FindWalgArchives(const std::string& directory, const std::string& name);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_WALG_REPOSITORY_H_
