// What a verification finds.
#ifndef NEON_REDO_VERIFY_RESULT_H_
#define NEON_REDO_VERIFY_RESULT_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpp_core/base/lsn.h"
#include "cpp_core/pg/block.h"
#include "cpp_core/replay/engine_counts.h"

namespace neon_redo {

inline constexpr uint32_t kNoBlockNumber = 0xffffffffu;

// What is wrong with a page or file on disk, as far as it can be told.
enum class Damage : uint8_t {
  kNone,         // not on disk: the page could not be rebuilt, or differs from the image in WAL
  kMissingFile,  // the file is not there
  kShortFile,    // the file ends before the block
  kLongFile,     // the file has pages behind the end that WAL leaves it
  kExtraFile,    // a file of what WAL has dropped is still there
  kZeroed,       // nothing but zeroes, where there should be a page
  kMisplaced,    // it is the page of another block, which is different too
  kTorn,      // written in part: some sectors are as in the base backup, the rest as they must be
  kChecksum,  // the checksum does not fit the content
  kStale,     // older than the WAL demands: a write was lost
  kFuture,    // newer than the last record that changes it
  kContent,   // the right LSN, but other bytes
};
inline constexpr int kDamages = static_cast<int>(Damage::kContent) + 1;
// "missing file", "short file", "zeroed", …; null for kNone.
const char* DamageName(Damage damage);

// One page or file that is not what it must be, or a page that could not be rebuilt.
struct Mismatch {
  BlockTag
      tag;  // relation 0/0/0: not a relation's page but `file`; block kNoBlockNumber: all of it
  Lsn lsn;  // end of the last record that changes the block
  Lsn last_start;                  // its start; 0: no record names the block
  std::optional<uint32_t> offset;  // of the first byte that differs after masking; none when the
                                   // difference is not one of bytes (see problem)
  std::string problem;             // one line
  std::string last_record;         // described, one line
  Damage damage = Damage::kNone;
  Lsn disk_lsn;        // of the page on disk; 0 when there is none
  std::string file{};  // path below the data directory; empty when no files were looked at
  // For FindMisplaced:
  uint64_t rebuilt_hash = 0, disk_hash = 0;  // of the masked pages; 0: none
  Lsn rebuilt_lsn{};
};

struct RmgrCounts {
  uint64_t rebuilt = 0;
  uint64_t equal = 0;
  uint64_t different = 0;  // a request that failed counts here
};

struct VerifyResult {
  uint64_t wal_bytes = 0;
  uint64_t records = 0;
  EngineCounts engines;                      // of changes: who applied them
  uint64_t pages_compared = 0;               // with pages on disk
  uint64_t pages_replayed = 0;               // and compared with nothing
  std::map<std::string, uint64_t> compared;  // by what it is: "relation pages", "pg_xact", …
  uint64_t images_compared = 0;              // with images in WAL
  uint64_t pages_spilled = 0;                // written to the temporary file, however often
  std::vector<Mismatch> mismatches;          // by LSN
  std::map<std::string, uint64_t> skipped;
  std::array<RmgrCounts, 256> by_rmgr{};  // by the resource manager of the last record applied
  Lsn start, end;                         // of the WAL read
  double elapsed_seconds = 0;
};

// Not thread-safe: one for each partition, added up at the end.
class Findings {
 public:
  void Equal(uint8_t rmid) {
    by_rmgr_[rmid].rebuilt++;
    by_rmgr_[rmid].equal++;
  }
  // rebuilt: there was a page to compare at all.
  void Different(uint8_t rmid, bool rebuilt, Mismatch mismatch) {
    by_rmgr_[rmid].rebuilt += rebuilt;
    by_rmgr_[rmid].different++;
    mismatches_.push_back(std::move(mismatch));
  }
  Mismatch& last() { return mismatches_.back(); }  // there must be one
  // What no resource manager's page is: a file.
  void Damaged(Mismatch mismatch) { mismatches_.push_back(std::move(mismatch)); }
  void Skip(std::string_view reason, uint64_t count = 1) {
    if (count == 0) return;
    auto at = skipped_.find(reason);
    if (at == skipped_.end()) at = skipped_.emplace(reason, 0).first;
    at->second += count;
  }
  // Adds all of it to *result, whose mismatches are then in the order of LSNs.
  void AddTo(VerifyResult* result) const;

 private:
  std::vector<Mismatch> mismatches_;
  std::map<std::string, uint64_t, std::less<>> skipped_;
  std::array<RmgrCounts, 256> by_rmgr_{};
};

// Names pages misplaced that are what another of the mismatches should be: swapped ones.
void FindMisplaced(std::vector<Mismatch>* mismatches);

// Why a page or file is skipped when it is compared with a backup's.
inline constexpr std::string_view kChangedDuringBackup = "changed while the backup was taken";

// How far along the work is, for a progress bar.
struct VerifyProgress {
  const char* phase;  // "reading WAL", "comparing pages"
  uint64_t done;
  uint64_t total;  // an estimate; 0 when not known
};
using ProgressFunction = std::function<void(const VerifyProgress&)>;

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_RESULT_H_
