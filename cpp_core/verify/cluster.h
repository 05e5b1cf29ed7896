// A base backup and the WAL since, rebuilt page by page, against the cluster at rest.
#ifndef NEON_REDO_VERIFY_CLUSTER_H_
#define NEON_REDO_VERIFY_CLUSTER_H_

#include <string>

#include "cpp_core/verify/options.h"
#include "cpp_core/verify/result.h"

namespace neon_redo {

// Rebuilds every page that WAL from the backup's start to the cluster's shutdown checkpoint
// touches, of relations (all forks but the free space map), pg_xact, pg_multixact and pg_commit_ts,
// and compares it with the page in data_directory; and the relation maps, and which relation files
// there are and how long.
//
// data_directory may be a later base backup of a running server. Then WAL is replayed to that
// backup's end, and what no record changes from its start on is compared.
//
// Without a data_directory (empty): replays WAL to its end, and compares with nothing.
//
// Memory: options.memory. Pages that do not fit are spilled to a file; about 100 bytes for each
// block touched and not dropped since are not, and so are the least that is needed.
//
// Errors: directories that are not what they must be, a cluster that is running or was not shut
// down cleanly, WAL that is damaged or ends too early, a server that cannot be run. What a worker
// refuses or gets wrong, and what is missing or damaged on disk, is not an error but a mismatch.
Result<VerifyResult> VerifyCluster(const VerifyOptions& options, const std::string& base_backup,
                                   const std::string& data_directory);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_CLUSTER_H_
