// Where a base backup is consistent.
#ifndef NEON_REDO_INDEX_CONSISTENT_H_
#define NEON_REDO_INDEX_CONSISTENT_H_

#include <optional>

#include "cpp_core/index/wal_index.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// From here on the files of a backup are of one moment, once the WAL before it is replayed: at consistent_at if
// that is known, else at the end of the record that ends the backup whose replay begins at `start`. Nothing: the
// WAL has no such record, since it ends before the backup did. Until then sizes of files, and pages without an
// LSN, may be of later moments than others.
Result<std::optional<Lsn>> ConsistentFrom(WalIndex* index, Lsn start, Lsn consistent_at);

}  // namespace neon_redo

#endif  // NEON_REDO_INDEX_CONSISTENT_H_
