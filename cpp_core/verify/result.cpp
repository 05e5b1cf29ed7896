#include "cpp_core/verify/result.h"

#include <algorithm>
#include <tuple>

namespace neon_redo {

void Findings::MoveTo(VerifyResult* result) {
  std::sort(mismatches_.begin(), mismatches_.end(), [](const Mismatch& a, const Mismatch& b) {
    return std::tie(a.lsn, a.tag) < std::tie(b.lsn, b.tag);
  });
  result->mismatches = std::move(mismatches_);
  result->skipped = std::move(skipped_);
  result->by_rmgr = by_rmgr_;
}

}  // namespace neon_redo
