// VerifyCluster, for those who open the base backup themselves.
#ifndef NEON_REDO_VERIFY_CLUSTER_H_
#define NEON_REDO_VERIFY_CLUSTER_H_

#include <memory>
#include <string>

#include "cpp_core/backup/base_backup.h"
#include "neon_redo/verify.h"

namespace neon_redo {

// A data directory, or a later backup in any layout. Errors: see OpenBaseBackup; a data directory is first
// looked at when it is read.
Result<std::unique_ptr<BaseBackup>> OpenComparedWith(const std::string& path,
                                                     const BaseBackupOptions& options);

// data: null where there is nothing to compare with.
Result<VerifyResult> VerifyBackup(const VerifyOptions& options, const BaseBackup& base,
                                  const BaseBackup* data);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_CLUSTER_H_
