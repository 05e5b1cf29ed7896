// A block incremental file of a pgBackRest backup, put together as it is read.
#ifndef NEON_REDO_BACKUP_PGBACKREST_BLOCK_FILE_H_
#define NEON_REDO_BACKUP_PGBACKREST_BLOCK_FILE_H_

#include <memory>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/backup/pgbackrest_repository.h"

namespace neon_redo {

// Reads the map. The repository and the manifest outlive the file, which is one of the manifest's. Each
// block is compared with its checksum. Keeps up to four unpacked super blocks (1 MB each as a rule) and no
// file open. kUnsupported: it is of a version before 2.46.
Result<std::shared_ptr<const BaseFile>> OpenPgBackRestBlockFile(
    const PgBackRestRepository& repository, const PgBackRestManifest& manifest,
    const PgBackRestFile& file);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_PGBACKREST_BLOCK_FILE_H_
