// A backup in WAL-G's storage, without WAL-G: full, or a delta backup with those that it builds upon.
#ifndef NEON_REDO_BACKUP_WALG_BACKUP_H_
#define NEON_REDO_BACKUP_WALG_BACKUP_H_

#include <memory>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/backup/walg_repository.h"
#include "neon_redo/error.h"

namespace neon_redo {

// Unpacks what the backup needs of its archives to the spool, one spool for each backup of the chain.
// Nothing is combined: a block is read from the newest backup that has it. Holds the lists of files in
// memory. Errors: those of ReadWalgChain and FindWalgArchives; kCorrupt also: an archive is damaged, or
// the sentinel is of another backup.
Result<std::unique_ptr<BaseBackup>> OpenWalgBackup(const WalgLayout& layout,
                                                   const BaseBackupOptions& options);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_WALG_BACKUP_H_
