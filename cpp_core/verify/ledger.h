// The ledger of a base backup and its WAL: what earlier verifications have proven, so that it need not be
// read again. docs/ledger.md says why that is safe.
#ifndef NEON_REDO_VERIFY_LEDGER_H_
#define NEON_REDO_VERIFY_LEDGER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cpp_core/base/file_identity.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

struct LedgerFile {
  std::string path;
  FileIdentity identity;
  // It was changed so shortly before it was looked at that the next change may have the same time.
  bool is_young = false;

  bool IsAsBefore(const LedgerFile& before) const {
    return path == before.path && identity == before.identity && !is_young && !before.is_young;
  }
};

// A file of the backup, in the words of BaseFiles.
struct LedgerContent {
  std::string name;
  uint64_t size = 0;
  std::optional<uint64_t> hash{};  // ContentHash; none: it was not read as a whole
};

// What the backup is stored in.
struct LedgerStored {
  LedgerFile file;
  std::vector<uint32_t> contents{};  // what it has of Ledger::contents; empty: perhaps any
};

struct LedgerSegment {
  uint32_t timeline = 0;
  uint64_t number = 0;              // start LSN / segment size
  std::vector<LedgerFile> files{};  // the one that is read, and its copies
  uint64_t sum = 0;                 // RecordSum of the records that start in it, up to Ledger::end
};

struct Ledger {
  // The backup.
  uint64_t system_identifier = 0;
  Lsn start{};
  uint32_t start_timeline = 0;
  std::string label{};                    // for people
  uint64_t origin_hash = 0;               // of backup_label and pg_control
  uint64_t layout_hash = 0;               // of its directories and tablespaces
  std::vector<LedgerContent> contents{};  // by name
  std::vector<LedgerStored> stored{};     // by path

  // The WAL.
  uint32_t segment_size = 0;
  uint32_t timeline = 0;
  std::vector<LedgerSegment> segments{};  // by number, from that of `start` on
  Lsn redo{};                             // of the last checkpoint: later replay begins here
  Lsn end{};                              // of what is proven
  Lsn backup_end{};
  std::optional<int64_t> last_transaction{};

  // Seconds since 1970-01-01 UTC.
  int64_t proven_at = 0;
  int64_t read_all_at = 0;

  // What the checks know at `end` (check_states.cpp).
  std::string state{};
};

struct LedgerRead {
  std::optional<Ledger> ledger{};
  std::string why_not{};  // none is there, or one of another version of this program; one line
};
// An empty file is none. kInvalidArgument: the file is no ledger, or others may write to it. kCorrupt: it is
// damaged, which the message says how to mend. Whatever the file has, nothing is made beyond its own size.
Result<LedgerRead> ReadLedger(const std::string& path);

// That WriteLedger may replace what has this name, and can, as far as that is known before. kInvalidArgument: it is
// no ledger, and is not empty. Others: its directory cannot be written to.
Status CheckLedgerPlace(const std::string& path);

// Replaces the file durably and as a whole, with mode 0600.
Status WriteLedger(const std::string& path, const Ledger& ledger);

// It may be gone already.
Status RemoveLedger(const std::string& path);

// The file's bytes, and back. Errors: kCorrupt.
std::string LedgerBytes(const Ledger& ledger);
Result<LedgerRead> ParseLedger(const std::string& bytes, const std::string& path);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_LEDGER_H_
