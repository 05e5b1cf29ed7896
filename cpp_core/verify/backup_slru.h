// Pages of pg_xact and pg_multixact that a base backup must have.
#ifndef NEON_REDO_VERIFY_BACKUP_SLRU_H_
#define NEON_REDO_VERIFY_BACKUP_SLRU_H_

#include <set>
#include <string>

#include "cpp_core/verify/backup_files.h"
#include "cpp_core/verify/data_directory.h"
#include "cpp_core/verify/findings.h"
#include "cpp_core/verify/slru_check.h"

namespace neon_redo {

// Every page with a transaction or multixact from the oldest up to the next one of the backup's
// pg_control, but for those that WAL since the backup's start begins or removes. wal: has taken that
// WAL. A segment is one finding. pg_commit_ts is not looked at: its files may come and go with the
// setting. missing: files that are reported already. Errors: the machine is short of something.
Status CheckBackupSlrus(const std::string& directory, const ControlData& control,
                        const BackupFileList& list, const SlruCheck& wal,
                        const std::set<std::string>& missing, Findings* findings);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_BACKUP_SLRU_H_
