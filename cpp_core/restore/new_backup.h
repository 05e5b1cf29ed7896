// What makes a base backup of a restored data directory: a label, a manifest, and the WAL that it needs.
#ifndef NEON_REDO_RESTORE_NEW_BACKUP_H_
#define NEON_REDO_RESTORE_NEW_BACKUP_H_

#include <cstdint>
#include <string>

#include "cpp_core/pg/version.h"
#include "cpp_core/restore/output.h"
#include "cpp_core/restore/survey.h"
#include "neon_redo/error.h"
#include "neon_redo/verify.h"

namespace neon_redo {

// backup_label of a backup as of the point: like one of a standby, it says that pg_control knows where it ends. time:
// seconds since 1970.
std::string BackupLabelAt(const RestartPoint& point, uint32_t segment_size, int64_t time);

struct ManifestOptions {
  const pg::Version* version;  // not null
  uint64_t system_identifier;
  const RestartPoint* point;  // not null
  // A file that gets another name before the backup is complete.
  std::string temporary, name;
  int jobs = 1;
  ProgressFunction progress;  // called on the caller's thread; may be empty
};

// The content of backup_manifest: reads all files, with CRC-32C.
Result<std::string> MakeManifest(const OutputDirectory& output, const ManifestOptions& options);

}  // namespace neon_redo

#endif  // NEON_REDO_RESTORE_NEW_BACKUP_H_
