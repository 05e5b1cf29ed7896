// Reads all files of a base backup once: their checksums, and the pages of relations.
#ifndef NEON_REDO_VERIFY_BACKUP_READER_H_
#define NEON_REDO_VERIFY_BACKUP_READER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/backup/manifest.h"
#include "cpp_core/verify/findings.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/verify.h"

namespace neon_redo {

// What is wrong with one page as it was copied.
struct BadPage {
  Damage damage = Damage::kNone;  // kChecksum, kHeader, kZeroed never, kShortFile: not whole
  uint16_t checksum = 0;          // that it has
  Lsn lsn;
};

// What no page can be (PageIsVerifiedExtended in storage/page/bufpage.c, and the size and version of
// its layout). A page of zeroes is right. checksums: the cluster has data checksums. block: in the
// fork, over all segments. Nothing: the page is right. Thread-safe.
std::optional<BadPage> CheckPage(const uint8_t* page, uint32_t block, bool checksums);

struct BackupReadOptions {
  const BaseBackup* backup;    // not null
  const pg::Version* version;  // not null
  bool checksums;              // the cluster has data checksums
  int jobs = 1;
  ProgressFunction progress;    // called on the caller's thread; may be empty
  bool keeps_contents = false;  // see BackupReadResult
  // Reads only what the manifest has a checksum of, and looks at no pages.
  bool checksums_only = false;
};

struct BackupReadResult {
  // A page that another process wrote while it was copied may be among them: WAL tells.
  std::map<BlockTag, BadPage> bad_pages;
  uint64_t bad_pages_not_kept = 0;           // beyond kMostBadPages
  uint64_t files = 0, bytes = 0, pages = 0;  // that were read
  uint64_t checksums = 0;                    // files that have the manifest's
  // BackupReadOptions::keeps_contents: ContentHash of each file that was read to its end, by path.
  std::map<std::string, uint64_t> contents;
  Findings findings;                 // files that cannot be read, or differ from the manifest
  std::set<std::string> unreadable;  // of them, the paths of those that cannot be read
};

// Memory: 60 bytes for each of them.
inline constexpr size_t kMostBadPages = 200'000;

// Reads the files that hold data (relations, maps, SLRUs, prepared transactions), and those that the
// manifest has a checksum of. manifest: null where there is none. Uses up to options.jobs threads with
// one stream and half a megabyte each.
//
// Errors: kIo, a file that this user may not read; the machine is short of something. A file that is
// damaged is a finding.
Result<BackupReadResult> ReadBackupFiles(const BackupReadOptions& options, const BaseFiles& list,
                                         const BackupManifest* manifest);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_BACKUP_READER_H_
