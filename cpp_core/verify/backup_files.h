// Which files a base backup has.
#ifndef NEON_REDO_VERIFY_BACKUP_FILES_H_
#define NEON_REDO_VERIFY_BACKUP_FILES_H_

#include <optional>
#include <string>
#include <string_view>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/pg/version.h"
#include "neon_redo/block.h"
#include "neon_redo/error.h"

namespace neon_redo {

// All files but those of pg_wal: WAL is read as the caller says. Follows the links of tablespaces, and no
// others. Errors: a directory or pg_control that cannot be looked at; it is no backup.
Result<BaseFiles> ListBackupFiles(const std::string& directory);

// The first block of a relation's file: "base/5/16384_vm.1". Nothing: the path is none of a relation,
// or of a temporary one.
std::optional<BlockTag> ParseRelationPath(const pg::Version& version, std::string_view path);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_BACKUP_FILES_H_
