// VerifyCluster, for those who open the base backup themselves.
#ifndef NEON_REDO_VERIFY_CLUSTER_H_
#define NEON_REDO_VERIFY_CLUSTER_H_

#include <memory>
#include <string>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/verify/wanted.h"
#include "neon_redo/verify.h"

namespace neon_redo {

// A data directory, or a later backup in any layout. Errors: see OpenBaseBackup; a data directory is first
// looked at when it is read.
Result<std::unique_ptr<BaseBackup>> OpenComparedWith(const std::string& path,
                                                     const BaseBackupOptions& options);

// data: null where there is nothing to compare with. wanted: of these pages only the records that they need are read,
// and neither the rest of the backup nor anything else is looked at; with data, and without a ledger. Null: all.
Result<VerifyResult> VerifyBackup(const VerifyOptions& options, const BaseBackup& base,
                                  const BaseBackup* data, const WantedPages* wanted = nullptr);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_CLUSTER_H_
