// A chain of incremental backups (PostgreSQL 17 and later), as pg_combinebackup would combine it.
// Nothing is combined: a block is read from the newest backup that has it.
#ifndef NEON_REDO_BACKUP_INCREMENTAL_BACKUP_H_
#define NEON_REDO_BACKUP_INCREMENTAL_BACKUP_H_

#include <memory>
#include <vector>

#include "cpp_core/backup/base_backup.h"

namespace neon_redo {

// newest: an incremental backup. prior: in any order, those that it builds upon, and no others. The
// backups must be of one cluster, each begin where the next says that it does, and the last be full.
// Holds their manifests in memory. kInvalidArgument: the chain has a gap, or a backup does not belong to
// it.
Result<std::unique_ptr<BaseBackup>> OpenIncrementalBackup(
    std::unique_ptr<BaseBackup> newest, std::vector<std::unique_ptr<BaseBackup>> prior);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_INCREMENTAL_BACKUP_H_
