// Which files a base backup has.
#ifndef NEON_REDO_VERIFY_BACKUP_FILES_H_
#define NEON_REDO_VERIFY_BACKUP_FILES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "cpp_core/pg/version.h"
#include "neon_redo/block.h"
#include "neon_redo/error.h"

namespace neon_redo {

struct BackupFile {
  uint64_t size = 0;
  std::string strange;  // what it is, if it is no regular file: "a FIFO"
};

struct BackupTablespace {
  enum State : uint8_t {
    kThere,
    kBroken,     // a link that leads nowhere, or something that is no directory
    kNoVersion,  // a directory without the one of this version (Version::tablespace_directory)
  } state = kThere;
  std::string target;  // of the link; empty: it is none
};

struct BackupFileList {
  // By path below the backup's directory. Without pg_wal, and of tablespaces only what is of this
  // version. About 150 bytes of memory a file.
  std::map<std::string, BackupFile> files;
  std::map<uint32_t, BackupTablespace> tablespaces;  // by what is in pg_tblspc
};

// Follows the links of tablespaces, and no others. Errors: a directory that cannot be looked at.
Result<BackupFileList> ListBackupFiles(const std::string& directory, const pg::Version& version);

// The first block of a relation's file: "base/5/16384_vm.1". Nothing: the path is none of a relation,
// or of a temporary one.
std::optional<BlockTag> ParseRelationPath(const pg::Version& version, std::string_view path);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_BACKUP_FILES_H_
