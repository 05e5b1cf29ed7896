// pg_basebackup's tar format: base.tar, OID.tar for each tablespace, pg_wal.tar, each perhaps with .gz,
// .lz4 or .zst, and backup_manifest beside them.
//
// Of a plain archive, the headers are read once, and content is read where it lies. A packed one is
// unpacked once, to the spool: gzip and lz4 as pg_basebackup writes them have no place inside at which
// unpacking could begin, so each page read would otherwise unpack all before it.
#ifndef NEON_REDO_BACKUP_TAR_BACKUP_H_
#define NEON_REDO_BACKUP_TAR_BACKUP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/backup/tar_reader.h"
#include "cpp_core/backup/unpack.h"
#include "neon_redo/error.h"

namespace neon_redo {

struct TarArchive {
  std::string name;   // of the file: "base.tar.gz"
  std::string below;  // where its entries lie in the cluster: "", "pg_tblspc/16400/", "pg_wal/"
  Packing packing = Packing::kNone;
  // Its files take the place of those of the same name in the archives before it.
  bool replaces = false;
};

struct TarLayout {
  std::string directory;             // where the archives lie
  std::vector<TarArchive> archives;  // base.tar first
  std::string tool{};                // that made it: "Barman"; empty: not told
  TarNames names = TarNames::kRelative;
  // Files that are read; no other is listed. Null: all.
  std::function<bool(const std::string& name)> wanted{};
};

// The archives in a directory, or beside a base.tar. Nothing: there are none. kInvalidArgument: one is
// there twice, packed and not; or `path` is neither a directory nor a base.tar.
Result<std::optional<TarLayout>> FindTarBackup(const std::string& path);

// One descriptor for each archive, and one for the spool. kCorrupt: an archive is damaged, or two
// entries have the same name.
Result<std::unique_ptr<BaseBackup>> OpenTarBackup(TarLayout layout,
                                                  const BaseBackupOptions& options);

}  // namespace neon_redo

#endif  // NEON_REDO_BACKUP_TAR_BACKUP_H_
