// A backup in a pgBackRest repository of format 5. A file that is packed or encrypted is unpacked to the
// spool when it is opened; of a block incremental one, super blocks are unpacked as they are read.
#ifndef NEON_REDO_BACKUP_PGBACKREST_BACKUP_H_
#define NEON_REDO_BACKUP_PGBACKREST_BACKUP_H_

#include <memory>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/backup/pgbackrest_repository.h"
#include "neon_redo/error.h"

namespace neon_redo {

Result<std::unique_ptr<BaseBackup>> OpenPgBackRestBackup(PgBackRestLayout layout,
                                                         const BaseBackupOptions& options);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_PGBACKREST_BACKUP_H_
