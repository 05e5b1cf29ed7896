// The files of a base backup, copied as they are to where WAL will change them.
#ifndef NEON_REDO_RESTORE_BASE_COPY_H_
#define NEON_REDO_RESTORE_BASE_COPY_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/restore/output.h"
#include "cpp_core/verify/backup_reader.h"
#include "neon_redo/error.h"
#include "neon_redo/verify.h"

namespace neon_redo {

struct BaseCopyOptions {
  const BaseBackup* base;         // not null
  const OutputDirectory* output;  // not null
  const pg::Version* version;     // not null
  bool checksums;                 // the cluster has data checksums
  bool quick = false;             // looks at no page
  bool delta = false;  // files that are there are compared, and only what differs is written
  // Also prepared transactions and replication origins: nothing rolls them forward.
  bool with_state = false;
  int jobs = 1;
  ProgressFunction progress;  // called on the caller's thread; may be empty
};

struct BaseCopyResult {
  uint64_t files = 0, bytes = 0;          // bytes: that were written
  std::set<std::string> names;            // of the files
  std::map<BlockTag, BadPage> bad_pages;  // as they were copied
  std::vector<std::string> notes;
};

// Whether a file of a backup belongs into a data directory that is yet to be recovered, and is not written by
// others: configuration, relations, SLRUs. HoldsState: of prepared transactions and replication origins.
bool IsCopied(std::string_view name);
bool HoldsState(std::string_view name);

// list: of the base. Links of tablespaces are there already. Errors: a file that cannot be read or written; a
// backup with more bad pages than anyone could look at.
Result<BaseCopyResult> CopyBase(const BaseCopyOptions& options, const BaseFiles& list);

}  // namespace neon_redo

#endif  // NEON_REDO_RESTORE_BASE_COPY_H_
