#include "cpp_core/verify/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <tuple>

#include "cpp_core/pg/rmgr.h"
#include "cpp_core/store/slru_page.h"
#include "neon_redo/describe.h"

namespace neon_redo {

const char* DamageName(Damage damage) {
  constexpr const char* kNames[] = {
      nullptr,     "missing file", "short file", "long file", "extra file", "unreadable", "zeroed",
      "misplaced", "torn",         "checksum",   "stale",     "future",     "content",    "header"};
  static_assert(std::size(kNames) == kDamages);
  return kNames[static_cast<size_t>(damage)];
}

std::string SkipName(const Skip& skip, const pg::Version* version) {
  switch (skip.reason) {
    case SkipReason::kRelationDropped:
      return "relation dropped";
    case SkipReason::kRelationTruncated:
      return "relation truncated";
    case SkipReason::kDatabaseDropped:
      return "database dropped";
    case SkipReason::kDatabaseDropping:
      return "database whose DROP was interrupted";
    case SkipReason::kFreeSpaceMap:
      return "free space map";
    case SkipReason::kUnsupported: {
      const auto rmid = static_cast<uint8_t>(skip.detail >> 8);
      const auto info = static_cast<uint8_t>(skip.detail);
      const char* name = version ? OperationName(*version, rmid, info) : nullptr;
      return fmt::format("not supported by the native engine: {} {}", RmgrDisplayName(rmid),
                         name ? name : "(unknown)");
    }
    case SkipReason::kCopiedDatabase:
      return "database created by file copy";
    case SkipReason::kLostMap:
      return "visibility map copied by CREATE DATABASE";
    case SkipReason::kChangedDuringBackup:
      return "changed while the backup was taken";
    case SkipReason::kMapInBackup:
      return "visibility map in a backup";
    case SkipReason::kMapOfAnother:
      return "visibility map of another server";
    case SkipReason::kNotInBackup:
      return fmt::format("{} page that the backup does not have",
                         SlruDirectory(static_cast<SlruKind>(skip.detail)));
    case SkipReason::kNoImage:
      return "no image in the record";
    case SkipReason::kNoEarlierImage:
      return "no earlier image of the block";
    case SkipReason::kFirstImage:
      return "first image of a block";
    case SkipReason::kVisibilityMap:
      return "visibility map";
    case SkipReason::kNotRebuilt:
      return "block not rebuilt since its last image";
    case SkipReason::kNeedsImage:
      return "full-page image of a record that lacks the data to do without";
  }
  return "";
}

std::string DamageKind(const Mismatch& m) {
  const char* name = DamageName(m.damage);
  return name ? name : m.offset ? "differs from the image" : "could not be rebuilt";
}

namespace {

// Whether b is about the block after a's, and says the same of it.
bool Continues(const Mismatch& a, const Mismatch& b) {
  switch (b.damage) {
    case Damage::kNone:
    case Damage::kMissingFile:
    case Damage::kShortFile:
    case Damage::kUnreadable:
    case Damage::kZeroed:
      break;
    default:
      return false;
  }
  return a.damage == b.damage && a.tag.rel == b.tag.rel && a.tag.fork == b.tag.fork &&
         a.tag.block != kNoBlockNumber && a.tag.block + a.blocks == b.tag.block &&
         a.file == b.file && a.in_backup == b.in_backup && a.problem == b.problem;
}

// Makes one of mismatches that continue each other, whichever partitions they come from.
void Join(std::vector<Mismatch>* mismatches) {
  std::stable_sort(mismatches->begin(), mismatches->end(),
                   [](const Mismatch& a, const Mismatch& b) {
                     return std::tie(a.tag, a.file) < std::tie(b.tag, b.file);
                   });
  size_t kept = 0;
  for (size_t i = 0; i < mismatches->size(); i++) {
    Mismatch& m = (*mismatches)[i];
    if (kept > 0 && Continues((*mismatches)[kept - 1], m))
      (*mismatches)[kept - 1].blocks += m.blocks;
    else if (kept++ != i)
      (*mismatches)[kept - 1] = std::move(m);
  }
  mismatches->resize(kept);
}

}  // namespace

void Findings::Damaged(Mismatch mismatch) {
  different_ += mismatch.blocks;
  damage_[DamageKind(mismatch)] += mismatch.blocks;
  if (!mismatches_.empty() && Continues(mismatches_.back(), mismatch))
    mismatches_.back().blocks += mismatch.blocks;
  else if (mismatches_.size() < most_)
    mismatches_.push_back(std::move(mismatch));
  else
    not_listed_ += mismatch.blocks;
}

// Of files: what is skipped, and resource managers, are not among them.
void Findings::Add(const Findings& other) {
  for (const Mismatch& mismatch : other.mismatches_) {
    if (mismatches_.size() < most_)
      mismatches_.push_back(mismatch);
    else
      not_listed_ += mismatch.blocks;
  }
  for (const Mismatch& note : other.notes_) Note(note);
  different_ += other.different_;
  not_listed_ += other.not_listed_;
  notes_not_listed_ += other.notes_not_listed_;
  for (const auto& [kind, count] : other.damage_) damage_[kind] += count;
}

void Findings::AddTo(VerifyResult* result) const {
  auto& mismatches = result->mismatches;
  mismatches.insert(mismatches.end(), mismatches_.begin(), mismatches_.end());
  result->not_listed += not_listed_;
  result->notes_not_listed += notes_not_listed_;
  result->different += different_;
  for (const auto& [kind, count] : damage_) result->damage[kind] += count;
  result->notes.insert(result->notes.end(), notes_.begin(), notes_.end());
  for (const auto& [skip, count] : skipped_)
    result->skipped[SkipName(skip, result->version)] += count;
  for (size_t rmid = 0; rmid < by_rmgr_.size(); rmid++) {
    result->by_rmgr[rmid].rebuilt += by_rmgr_[rmid].rebuilt;
    result->by_rmgr[rmid].equal += by_rmgr_[rmid].equal;
    result->by_rmgr[rmid].different += by_rmgr_[rmid].different;
  }
}

void ListInOrder(VerifyResult* result) {
  auto& mismatches = result->mismatches;
  Join(&mismatches);
  std::sort(mismatches.begin(), mismatches.end(), [](const Mismatch& a, const Mismatch& b) {
    return std::tie(a.lsn, a.tag, a.file) < std::tie(b.lsn, b.tag, b.file);
  });
  for (; mismatches.size() > kMostMismatches; mismatches.pop_back())
    result->not_listed += mismatches.back().blocks;
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

void FindMisplaced(VerifyResult* result) {
  const auto count = [result](int64_t by) {
    for (const Mismatch& m : result->mismatches) {
      uint64_t& of_kind = result->damage[DamageKind(m)];
      of_kind = static_cast<uint64_t>(static_cast<int64_t>(of_kind) + by * m.blocks);
    }
  };
  count(-1);
  FindMisplaced(&result->mismatches);
  count(1);
  std::erase_if(result->damage, [](const auto& kind) { return kind.second == 0; });
}

}  // namespace neon_redo
