// The oracle: WAL written with wal_consistency_checking = 'all' holds, for every block that a
// record changes, the page as it was afterwards. Each record is replayed over the image before it,
// and the answer compared with its own image.
#ifndef NEON_REDO_VERIFY_IMAGES_H_
#define NEON_REDO_VERIFY_IMAGES_H_

#include "cpp_core/verify/options.h"
#include "cpp_core/verify/result.h"

namespace neon_redo {

// Reads all WAL of options.wal. Needs no data directory. Memory as VerifyCluster.
//
// Errors: WAL that cannot be read or is damaged, a server that cannot be run, WAL without images.
// What a worker refuses or gets wrong is not an error but a mismatch.
Result<VerifyResult> VerifyImages(const VerifyOptions& options);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_IMAGES_H_
