#include "cpp_core/verify/result.h"

#include <algorithm>
#include <tuple>

namespace neon_redo {

void Findings::AddTo(VerifyResult* result) const {
  auto& mismatches = result->mismatches;
  mismatches.insert(mismatches.end(), mismatches_.begin(), mismatches_.end());
  std::sort(mismatches.begin(), mismatches.end(), [](const Mismatch& a, const Mismatch& b) {
    return std::tie(a.lsn, a.tag) < std::tie(b.lsn, b.tag);
  });
  for (const auto& [reason, count] : skipped_) result->skipped[reason] += count;
  for (size_t rmid = 0; rmid < by_rmgr_.size(); rmid++) {
    result->by_rmgr[rmid].rebuilt += by_rmgr_[rmid].rebuilt;
    result->by_rmgr[rmid].equal += by_rmgr_[rmid].equal;
    result->by_rmgr[rmid].different += by_rmgr_[rmid].different;
  }
}

}  // namespace neon_redo
