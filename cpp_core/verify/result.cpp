#include "cpp_core/verify/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <tuple>

namespace neon_redo {

const char* DamageName(Damage damage) {
  constexpr const char* kNames[] = {nullptr,      "missing file", "short file", "long file",
                                    "extra file", "zeroed",       "misplaced",  "torn",
                                    "checksum",   "stale",        "future",     "content"};
  static_assert(std::size(kNames) == kDamages);
  return kNames[static_cast<size_t>(damage)];
}

void Findings::AddTo(VerifyResult* result) const {
  auto& mismatches = result->mismatches;
  mismatches.insert(mismatches.end(), mismatches_.begin(), mismatches_.end());
  std::sort(mismatches.begin(), mismatches.end(), [](const Mismatch& a, const Mismatch& b) {
    return std::tie(a.lsn, a.tag, a.file) < std::tie(b.lsn, b.tag, b.file);
  });
  for (const auto& [reason, count] : skipped_) result->skipped[reason] += count;
  for (size_t rmid = 0; rmid < by_rmgr_.size(); rmid++) {
    result->by_rmgr[rmid].rebuilt += by_rmgr_[rmid].rebuilt;
    result->by_rmgr[rmid].equal += by_rmgr_[rmid].equal;
    result->by_rmgr[rmid].different += by_rmgr_[rmid].different;
  }
}

void FindMisplaced(std::vector<Mismatch>* mismatches) {
  // With their LSNs: masked, the deleted pages of an index are all alike, and so are metapages.
  std::map<std::pair<uint64_t, Lsn>, const Mismatch*> wanted;
  for (const Mismatch& m : *mismatches) {
    if (m.rebuilt_hash == 0) continue;
    wanted.emplace(std::pair(m.rebuilt_hash, m.rebuilt_lsn), &m);
    // Where the last record may set only a hint.
    wanted.emplace(std::pair(m.rebuilt_hash, m.lsn), &m);
  }
  for (Mismatch& m : *mismatches) {
    if (m.disk_hash == 0) continue;
    const auto other = wanted.find({m.disk_hash, m.disk_lsn});
    const bool right_lsn = m.disk_lsn == m.rebuilt_lsn || m.disk_lsn == m.lsn;
    if (other == wanted.end() || (m.disk_hash == m.rebuilt_hash && right_lsn)) continue;
    m.damage = Damage::kMisplaced;
    m.problem = fmt::format("the page on disk is that of block {} of {}", other->second->tag.block,
                            other->second->file);
  }
}

}  // namespace neon_redo
