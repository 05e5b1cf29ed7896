#include "cpp_core/verify/made_blocks.h"

#include <algorithm>

namespace neon_redo {

void MadeBlocks::Add(const BlockTag& tag) {
  Ranges& ranges = forks_[{tag.rel, tag.fork, 0}];
  auto next = ranges.upper_bound(tag.block);
  auto range = ranges.end();
  if (next != ranges.begin()) {
    range = std::prev(next);
    if (tag.block < range->second) return;
    if (tag.block > range->second) range = ranges.end();
  }
  uint32_t end = tag.block + 1;
  if (next != ranges.end() && next->first == end) {
    end = next->second;
    ranges.erase(next);
  }
  if (range != ranges.end())
    range->second = end;
  else
    ranges[tag.block] = end;
}

bool MadeBlocks::Contains(const BlockTag& tag) const {
  const auto fork = forks_.find({tag.rel, tag.fork, 0});
  if (fork == forks_.end()) return false;
  const auto next = fork->second.upper_bound(tag.block);
  return next != fork->second.begin() && tag.block < std::prev(next)->second;
}

// All forks from one to another, both included.
void MadeBlocks::Erase(const BlockTag& first, const BlockTag& last) {
  forks_.erase(forks_.lower_bound(first), forks_.upper_bound(last));
}

void MadeBlocks::Take(const Change& change) {
  const RelFileNode rel = RelationOf(change);
  const uint8_t fork = change.key.field5;
  switch (change.kind) {
    case ChangeKind::kCreateFork:
      // A new relation has none of the blocks that an older one of that name had.
      if (change.flags & kNewRelationFile)
        Erase({rel, fork, 0}, {rel, fork == kMainFork ? kMaxForkNumber : fork, 0});
      return;
    case ChangeKind::kTruncateFork: {
      const auto found = forks_.find({rel, fork, 0});
      if (found == forks_.end()) return;
      Ranges& ranges = found->second;
      ranges.erase(ranges.lower_bound(change.number), ranges.end());
      if (!ranges.empty())
        ranges.rbegin()->second = std::min(ranges.rbegin()->second, change.number);
      return;
    }
    case ChangeKind::kDropRelation:
      return Erase({rel, 0, 0}, {rel, kMaxForkNumber, 0});
    case ChangeKind::kCreateDatabase:
    case ChangeKind::kCopyDatabase:
    case ChangeKind::kDropDatabase:
      return Erase({{rel.spc, rel.db, 0}, 0, 0},
                   {{rel.spc, rel.db, UINT32_MAX}, kMaxForkNumber, 0});
    default:
      return;
  }
}

void MadeBlocks::Save(StateWriter* out) const {
  out->AddCount(forks_.size());
  for (const auto& [fork, ranges] : forks_) {
    out->Add(fork);
    out->AddCount(ranges.size());
    for (const auto& [from, to] : ranges) {
      out->Add(from);
      out->Add(to);
    }
  }
}

void MadeBlocks::Load(StateReader* in) {
  constexpr size_t kForkSize = 17 + sizeof(uint64_t), kRangeSize = 2 * sizeof(uint32_t);
  for (size_t left = in->GetCount(kForkSize); left > 0 && in->ok(); left--) {
    Ranges& ranges = forks_[in->GetTag()];
    for (size_t more = in->GetCount(kRangeSize); more > 0 && in->ok(); more--) {
      const auto from = in->Get<uint32_t>();
      ranges[from] = in->Get<uint32_t>();
    }
  }
}

}  // namespace neon_redo
