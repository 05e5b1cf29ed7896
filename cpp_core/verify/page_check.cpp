#include "cpp_core/verify/page_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/mask.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/visibility_map.h"
#include "cpp_core/verify/at_rest.h"
#include "cpp_core/verify/backup_reader.h"
#include "cpp_core/verify/compare.h"

namespace neon_redo {

namespace {

std::string Words(Damage damage, Lsn disk, Lsn rebuilt, uint16_t checksum) {
  switch (damage) {
    case Damage::kZeroed:
      return "the page on disk is all zeroes";
    case Damage::kTorn:
      return "the page on disk is torn: some of its sectors are as in the base backup, the others "
             "as they must be";
    case Damage::kChecksum:
      return fmt::format("the page on disk has a wrong checksum: {:04X} does not fit its content",
                         checksum);
    case Damage::kStale:
      return disk == rebuilt
                 ? "the page on disk is stale: it has bits that WAL clears (a write was lost)"
                 : fmt::format(
                       "the page on disk is stale: its LSN is {}, WAL demands {} (a write was lost)",
                       disk.ToString(), rebuilt.ToString());
    case Damage::kFuture:
      return fmt::format(
          "the page on disk is from the future: its LSN is {}, but the last record "
          "that changes it ends at {}",
          disk.ToString(), rebuilt.ToString());
    default:
      return "the page on disk differs from the rebuilt one";
  }
}

bool IsZeroed(const uint8_t* page) {
  return std::all_of(page, page + kBlockSize, [](uint8_t byte) { return byte == 0; });
}

}  // namespace

Result<bool> PageCheck::Check(FinishedBlock* finished) {
  const BlockTag& tag = finished->tag();
  const BlockState& block = finished->block();
  if (IsDropping(options_, tag.rel.db)) {
    findings_.Skip(SkipReason::kDatabaseDropping);
    return false;
  }
  switch (finished->state()) {
    case PageState::kFailed:
      findings_.Different(block.last_rmid, block.failure == 0,
                          Named(tag, block, finished->failure().what));
      return false;
    case PageState::kUnsupported:
      findings_.SkipUnsupported(finished->failure().rmid, finished->failure().info);
      return false;
    case PageState::kCopiedDatabase:
      findings_.Skip(SkipReason::kCopiedDatabase);
      return false;
    case PageState::kLostMap:
      findings_.Skip(SkipReason::kLostMap);
      return false;
    case PageState::kSpoilt:
      return false;
    case PageState::kNone:
    case PageState::kCurrent:
      break;
  }
  // Records that clear its bits do not move its LSN, so that a copy of it may be of any time.
  const bool is_map = server_.settled.valid() && tag.fork == kVisibilityMapFork;
  const bool is_running = options_.running != nullptr;
  const bool is_later =
      server_.settled.valid() && block.last_lsn > server_.settled && !(is_running && is_map);
  if (is_later && is_running)
    look_.undecided.push_back(tag);
  else if (is_later)
    findings_.Skip(SkipReason::kChangedDuringBackup);
  if (is_later) return false;
  if (is_map) findings_.Skip(SkipReason::kMapInBackup);
  if (is_map || finished->state() == PageState::kNone) return false;
  if (compares()) {
    RETURN_IF_ERROR(Compare(tag, block, finished->page()));
    return true;
  }
  Replayed(block);
  return false;
}

void PageCheck::Replayed(const BlockState& block) {
  findings_.Equal(block.last_rmid);
  pages_replayed_++;
}

void PageCheck::Equal(const BlockState& block) {
  if (!is_unchanged_) findings_.Equal(block.last_rmid);
}

Status PageCheck::CompareUnchanged(const BlockTag& tag, uint8_t* base, const uint8_t* disk) {
  std::memcpy(disk_, disk, kBlockSize);
  BlockState block;
  block.last_lsn = PageView(base).lsn();
  is_unchanged_ = true;
  Status status = ComparePage(tag, block, base);
  is_unchanged_ = false;
  return status;
}

Status PageCheck::Compare(const BlockTag& tag, const BlockState& block, uint8_t* rebuilt) {
  using Found = RelationFiles::Found;
  ASSIGN_OR_RETURN(const Found found, data_.Read(tag, disk_));
  switch (found) {
    case Found::kUnreadable:
      Report(block, Named(tag, block, data_.reason(), Damage::kUnreadable));
      return {};
    case Found::kNoFile:
      Report(block, Named(tag, block, "the file is missing on disk", Damage::kMissingFile));
      return {};
    case Found::kPastEnd:
      Report(block, Named(tag, block, "the block is past the end of the file on disk",
                          Damage::kShortFile));
      return {};
    case Found::kPage:
      break;
  }
  pages_compared_++;
  return ComparePage(tag, block, rebuilt);
}

Status PageCheck::ComparePage(const BlockTag& tag, const BlockState& block, uint8_t* rebuilt) {
  const uint16_t stored = PageView(disk_).checksum();
  // As for the server, a page that looks new must be all zeroes (PageIsVerifiedExtended).
  const bool wrong_checksum =
      options_.checksums && !IsZeroed(disk_) &&
      (PageView(disk_).is_new() || stored != PageChecksum(disk_, tag.block));
  const uint8_t rmid = block.mask_rmid != 0 ? block.mask_rmid : GuessResourceManager(rebuilt);
  // What redo stamps and the server need not write was settled before the backup began.
  const bool is_of_another = is_unchanged_ && server_.is_another;
  const AtRest at_rest{
      is_of_another ? ToleratedLsn{LsnRule::kBetween, Lsn(1)} : block.tolerated(),
      is_of_another ? std::max(block.last_lsn, server_.backup_start) : block.last_lsn,
      server_.hints, is_unchanged_ || block.last_rmid == kRmXlog, is_unchanged_};
  if (server_.is_another && tag.fork == kVisibilityMapFork && !wrong_checksum) {
    ASSIGN_OR_RETURN(const bool is_map_of_another, IsMapOfAnother(tag, rebuilt));
    if (is_map_of_another) findings_.Skip(SkipReason::kMapOfAnother);
    if (is_map_of_another) return {};
  }
  // Bits are cleared without a new LSN, and so perhaps ahead of their WAL.
  if (options_.running != nullptr && tag.fork == kVisibilityMapFork && !wrong_checksum &&
      OnlyLacksBits(rebuilt)) {
    findings_.Skip(SkipReason::kMapInBackup);
    return {};
  }
  const auto offset = CompareWithDisk(rmid, tag, at_rest, rebuilt, disk_);
  if (!offset && !wrong_checksum) {
    CompareAtRest(tag, block, rmid, rebuilt);
    return {};
  }
  // Most of what a server has changed since is told by its LSN.
  if (options_.running != nullptr && PageView(disk_).lsn() > server_.wal_end &&
      !options_.running->proven.contains(tag)) {
    Report(block, Named(tag, block, "", Damage::kFuture));
    return {};
  }
  const Lsn rebuilt_lsn = PageView(rebuilt).lsn();
  const Lsn demanded = at_rest.tolerated.Demanded(rebuilt_lsn);
  const bool lsn_is_right = IsLsnRight(tag, rmid, at_rest, rebuilt, disk_);
  std::memcpy(masked_, rebuilt, kBlockSize);
  std::memcpy(masked_disk_, disk_, kBlockSize);
  MaskForDisk(rmid, tag, masked_);
  MaskForDisk(rmid, tag, masked_disk_);
  const Damage damage = Diagnose(tag, rmid, rebuilt, lsn_is_right, demanded, wrong_checksum);
  Mismatch found =
      Named(tag, block, Words(damage, PageView(disk_).lsn(), demanded, stored), damage);
  found.offset = offset;
  if (damage != Damage::kZeroed) {
    found.rebuilt_lsn = rebuilt_lsn;
    found.rebuilt_hash = HashPage(masked_);
    found.disk_hash = HashPage(masked_disk_);
  }
  Report(block, std::move(found));
  return {};
}

// CREATE DATABASE copies the visibility map without its bits into WAL. The server that ran the command
// has the bits, those that replay the WAL do not (docs/ingest.md). Bits that the disk lacks do no harm.
// One that it has alone is right only if the heap page has PD_ALL_VISIBLE: else a clear was lost.
Result<bool> PageCheck::IsMapOfAnother(const BlockTag& tag, const uint8_t* rebuilt) {
  if (CheckPage(disk_, tag.block, false)) return false;
  bool differs = false;
  for (uint32_t at = 0; at < kHeapBlocksOnMapPage; at++) {
    const uint8_t demanded = VisibilityBits(rebuilt, at), found = VisibilityBits(disk_, at);
    differs |= demanded != found;
    if ((found & ~demanded) == 0) continue;
    if (demanded != 0) return false;
    const uint64_t heap_block = uint64_t{tag.block} * kHeapBlocksOnMapPage + at;
    if (heap_block >= kNoBlockNumber) return false;
    ASSIGN_OR_RETURN(
        const auto heap,
        data_.Read({tag.rel, kMainFork, static_cast<uint32_t>(heap_block)}, heap_page_));
    if (heap != RelationFiles::Found::kPage || (pg::Flags(heap_page_) & kPdAllVisible) == 0)
      return false;
  }
  return differs;
}

// Pages that are equal under the masks.
void PageCheck::CompareAtRest(const BlockTag& tag, const BlockState& block, uint8_t rmid,
                              const uint8_t* rebuilt) {
  const AtRestContext context{.decided = !server_.settled.valid(),
                              // Or WAL has not the record yet.
                              .may_be_ahead = (server_.restarted || options_.running != nullptr) &&
                                              server_.hints != HintLogging::kAlways,
                              .log = &*log_};
  const auto different =
      tag.fork == kMainFork ? DifferenceAtRest(rmid, rebuilt, disk_, context) : std::nullopt;
  if (!different) return Equal(block);
  Mismatch found =
      Named(tag, block, different->words, different->is_old ? Damage::kStale : Damage::kContent);
  found.offset = different->offset;
  Report(block, std::move(found));
}

Damage PageCheck::Diagnose(const BlockTag& tag, uint8_t rmid, const uint8_t* rebuilt,
                           bool lsn_is_right, Lsn demanded, bool wrong_checksum) {
  const Lsn disk_lsn = PageView(disk_).lsn();
  if (IsZeroed(disk_)) return Damage::kZeroed;
  if (IsTorn(tag, rmid, rebuilt, lsn_is_right)) return Damage::kTorn;
  if (wrong_checksum) return Damage::kChecksum;
  if (tag.fork == kVisibilityMapFork && disk_lsn == demanded && LostAClear()) return Damage::kStale;
  if (lsn_is_right) return Damage::kContent;
  return disk_lsn < demanded ? Damage::kStale : Damage::kFuture;
}

// A record that sets bits of the map moves the page's LSN, one that clears bits does not.
bool PageCheck::LostAClear() const {
  uint8_t missing = 0;
  for (size_t at = kPageHeaderSize; at < kBlockSize; at++) missing |= masked_[at] & ~disk_[at];
  return missing == 0;
}

// Whether both pages have the same bytes in the part of the first one's free space that lies from
// `from` to `to`.
static bool IsFreeSpaceSame(const uint8_t* page, const uint8_t* other, size_t from, size_t to) {
  const PageView view(page);
  const size_t begin = std::max<size_t>(from, view.lower());
  const size_t end = std::min<size_t>(to, view.upper());
  return begin >= end || std::memcmp(page + begin, other + begin, end - begin) == 0;
}

// Drives write whole sectors. A sector of the page on disk is compared with the same sector of the
// base and of the rebuilt page, each time in a copy of that page. So the page's own line pointers
// say where hints are, also when those on disk are of another time. The LSN stands in the first
// sector, and is masked. So is the free space of the base, where the disk must have the same bytes
// all the same: else a sector that the base has no tuples in would always be as in the base.
bool PageCheck::IsTorn(const BlockTag& tag, uint8_t rmid, const uint8_t* rebuilt,
                       bool lsn_is_right) {
  constexpr size_t kSector = 512;
  alignas(8) uint8_t base[kBlockSize], masked_base[kBlockSize], mixed[kBlockSize];
  const auto found = base_.Read(tag, base);
  if (!found || *found != RelationFiles::Found::kPage) return false;
  const bool lsn_is_old = PageView(base).lsn() == PageView(disk_).lsn();
  std::memcpy(masked_base, base, kBlockSize);
  MaskForDisk(rmid, tag, masked_base);
  size_t old_sectors = 0, new_sectors = 0;
  for (size_t at = 0; at < kBlockSize; at += kSector) {
    const auto is_of = [&](const uint8_t* page, const uint8_t* masked_page) {
      std::memcpy(mixed, page, kBlockSize);
      std::memcpy(mixed + at, disk_ + at, kSector);
      MaskForDisk(rmid, tag, mixed);
      return std::memcmp(mixed + at, masked_page + at, kSector) == 0;
    };
    const bool is_new = (at > 0 || lsn_is_right) && is_of(rebuilt, masked_);
    const bool is_old = (at > 0 || lsn_is_old) && is_of(base, masked_base) &&
                        IsFreeSpaceSame(base, disk_, at, at + kSector);
    if (!is_new && !is_old) return false;
    old_sectors += !is_new;
    new_sectors += !is_old;
  }
  return old_sectors > 0 && new_sectors > 0;
}

Mismatch PageCheck::Named(const BlockTag& tag, const BlockState& block, std::string problem,
                          Damage damage) const {
  const bool on_disk = DamagesPage(damage);
  Mismatch out;
  out.tag = tag;
  out.lsn = block.last_lsn;
  out.last_start = block.last_start;
  out.problem = std::move(problem);
  out.damage = damage;
  if (on_disk) out.disk_lsn = PageView(disk_).lsn();
  out.file = pg::BlockFilePath(*options_.version, tag);
  return out;
}

void PageCheck::Report(const BlockState& block, Mismatch mismatch) {
  if (is_unchanged_) {
    mismatch.problem = kNotChanged + mismatch.problem;
    if (options_.running != nullptr) return Suspect(0, std::move(mismatch));
    return findings_.Damaged(std::move(mismatch));
  }
  if (options_.running != nullptr) return Suspect(block.last_rmid, std::move(mismatch));
  findings_.Different(block.last_rmid, block.failure == 0, std::move(mismatch));
}

// The server may have changed the page since, or be about to write it.
void PageCheck::Suspect(uint8_t rmid, Mismatch mismatch) {
  const bool has_page = DamagesPage(mismatch.damage);
  if (is_unchanged_)
    look_.unchanged++;
  else
    pages_compared_ -= has_page;
  const bool is_proven = options_.running->proven.contains(mismatch.tag);
  if (has_page && !is_proven && (mismatch.disk_lsn > server_.wal_end || look_.is_full()))
    return look_.newer.push_back(mismatch.tag);
  if (has_page && look_.is_full())
    return look_.briefs.push_back(
        {mismatch.tag, HashPage(disk_), rmid, is_unchanged_, mismatch.damage});
  look_.Add({std::move(mismatch), rmid, is_unchanged_, has_page ? HashPage(disk_) : 0});
}

void PageCheck::SuspectFile(Mismatch mismatch, uint32_t first_block, uint32_t blocks) {
  look_.Add({std::move(mismatch), 0, true, 0, first_block, blocks});
}

// The map's page on disk is the other one, but for bits that are not set.
bool PageCheck::OnlyLacksBits(const uint8_t* map) const {
  for (size_t at = kPageHeaderSize; at < kBlockSize; at++)
    if ((disk_[at] & ~map[at]) != 0) return false;
  return !CheckPage(disk_, 0, false);
}

}  // namespace neon_redo
