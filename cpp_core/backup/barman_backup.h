// Backups in a Barman home: SERVER/base/ID with backup.info (from Barman 3.13 on
// SERVER/meta/ID-backup.info), data/ as files or as archives, and OID/ for each tablespace.
#ifndef NEON_REDO_BACKUP_BARMAN_BACKUP_H_
#define NEON_REDO_BACKUP_BARMAN_BACKUP_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpp_core/backup/barman_info.h"
#include "cpp_core/backup/base_backup.h"
#include "neon_redo/error.h"

namespace neon_redo {

struct BarmanLayout {
  std::string directory;  // SERVER/base/ID
  BarmanInfo info;
};

// The backup at SERVER/base/ID, or the one of SERVER that options.label names. Nothing: neither is there.
// kInvalidArgument: the backup is not complete, or there is none.
Result<std::optional<BarmanLayout>> FindBarmanBackup(const std::string& path,
                                                     const BaseBackupOptions& options);

Result<std::unique_ptr<BaseBackup>> OpenBarmanBackup(const BarmanLayout& layout,
                                                     const BaseBackupOptions& options);

// Where those lie that an incremental one builds upon, as their backup.info say. kCorrupt: they go round
// in a circle, or one leaves the directory.
Result<std::vector<std::string>> BarmanParents(const BarmanLayout& layout);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_BARMAN_BACKUP_H_
