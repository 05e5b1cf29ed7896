// What a verification finds, on its way into a VerifyResult.
#ifndef NEON_REDO_VERIFY_FINDINGS_H_
#define NEON_REDO_VERIFY_FINDINGS_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "neon_redo/verify.h"

namespace neon_redo {

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

// What pages, and what is known of each block, may take of the memory: the rest is for the program
// itself, for each job's queue of records and its partitions' batches for the worker, and for the
// batches of records that are being filled (a sixteenth, and what it takes to find them).
inline uint64_t MemoryForPages(const VerifyOptions& options) {
  const uint64_t others =
      (uint64_t{24} << 20) * (1 + static_cast<uint64_t>(options.jobs)) + options.memory / 12;
  return std::max(options.memory / 2, options.memory - std::min(options.memory, others));
}

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_FINDINGS_H_
