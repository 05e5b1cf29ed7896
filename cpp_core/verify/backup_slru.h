// Pages of pg_xact, pg_multixact and pg_commit_ts that a base backup must have.
#ifndef NEON_REDO_VERIFY_BACKUP_SLRU_H_
#define NEON_REDO_VERIFY_BACKUP_SLRU_H_

#include <set>
#include <string>

#include "cpp_core/verify/data_directory.h"
#include "cpp_core/verify/findings.h"
#include "cpp_core/verify/slru_check.h"

namespace neon_redo {

// Every page with a transaction or multixact from the oldest up to the next one of the backup's
// pg_control, but not of transactions before oldest_xid (0: not known), and but for those that WAL since the backup's start begins or removes. wal: has taken that
// WAL. A segment is one finding. pg_commit_ts is looked at if pg_control has the setting on: its files
// come and go with it. No file ends within a page, or after the last page of a segment. missing: files
// that are reported already; gets new ones. Errors: the machine is short of something.
Status CheckBackupSlrus(const BaseBackup& base, const ControlData& control, uint32_t oldest_xid,
                        const BaseFiles& list, const SlruCheck& wal, std::set<std::string>* missing,
                        Findings* findings);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_BACKUP_SLRU_H_
