// What commands about one page read: WAL, and a base backup where it begins, if one is given.
#ifndef NEON_REDO_CLI_PAGE_INPUTS_H_
#define NEON_REDO_CLI_PAGE_INPUTS_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "cli/backup_options.h"
#include "cpp_core/archive/wal_set.h"
#include "cpp_core/backup/base_backup.h"
#include "cpp_core/verify/data_directory.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo::cli {

struct PageInputs {
  WalSet wal;
  std::unique_ptr<BaseBackup> backup;  // null: none is given; then the rest says nothing
  ControlData control;
  Lsn start;  // where replay begins
  // Where the backup is consistent; 0: at the record of its end.
  Lsn consistent_at;
  bool track_commit_timestamp;
};

// Opens both, and says on standard error what is unusual about the backup. only: see OpenBackup. Errors: they
// are not of one cluster, or the WAL is no continuation of the backup.
Result<PageInputs> OpenPageInputs(const BackupArguments& backup, WalSources sources,
                                  std::optional<uint32_t> only = std::nullopt);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_PAGE_INPUTS_H_
