// A base backup as a directory of files: pg_basebackup's plain format, a restored one, a snapshot.
#ifndef NEON_REDO_BACKUP_PLAIN_BACKUP_H_
#define NEON_REDO_BACKUP_PLAIN_BACKUP_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/pg/version.h"
#include "neon_redo/error.h"

namespace neon_redo {

// A tablespace that lies beside the data directory, as Barman's copies have it.
struct TablespaceBeside {
  std::string name;    // of its directory, in that of the backup
  std::string target;  // where it was
};

struct PlainLayout {
  std::string directory;  // of the backup
  std::string data;       // the data directory's name in it; empty: it is the directory
  std::map<uint32_t, TablespaceBeside>
      beside{};        // by OID; a link in pg_tblspc is then not followed
  std::string tool{};  // that made it: "Barman"; empty: not told
};

// The files of such a directory, of a server of this version. data_only: as BaseBackup::ListData.
Result<BaseFiles> ListPlainFiles(const PlainLayout& layout, const pg::Version& version,
                                 bool data_only);

// One file is open for each BaseFile, and none for the backup. kNotFound: there is no such directory.
// kInvalidArgument: it has none of PG_VERSION, global/pg_control and backup_label.
Result<std::unique_ptr<BaseBackup>> OpenPlainBackup(PlainLayout layout);

// The same of a directory that the caller knows to be one, a data directory: it is looked at when a file
// is asked for.
std::unique_ptr<BaseBackup> DataDirectory(std::string directory);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_PLAIN_BACKUP_H_
