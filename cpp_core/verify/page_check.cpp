#include "cpp_core/verify/page_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cpp_core/pg/mask.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"
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
      return fmt::format(
          "the page on disk is stale: its LSN is {}, WAL demands {} (a write was "
          "lost)",
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

uint64_t HashPage(const uint8_t* page) {
  return std::hash<std::string_view>()({reinterpret_cast<const char*>(page), kBlockSize});
}

}  // namespace

void PageCheck::Check(FinishedBlock* finished) {
  const BlockTag& tag = finished->tag();
  const BlockState& block = finished->block();
  switch (finished->state()) {
    case PageState::kFailed:
      return Report(tag, block, finished->failure().what);
    case PageState::kUnsupported:
      return findings_.SkipUnsupported(finished->failure().rmid, finished->failure().info);
    case PageState::kCopiedDatabase:
      return findings_.Skip(SkipReason::kCopiedDatabase);
    case PageState::kLostMap:
      return findings_.Skip(SkipReason::kLostMap);
    case PageState::kSpoilt:
      return;
    case PageState::kNone:
    case PageState::kCurrent:
      break;
  }
  if (settled_.valid() && block.last_lsn > settled_)
    return findings_.Skip(SkipReason::kChangedDuringBackup);
  // Records that clear its bits do not move its LSN.
  if (settled_.valid() && tag.fork == kVisibilityMapFork)
    return findings_.Skip(SkipReason::kMapInBackup);
  if (finished->state() == PageState::kNone) return;
  if (compares_)
    Compare(tag, block, finished->page());
  else
    Replayed(block);
}

void PageCheck::Replayed(const BlockState& block) {
  findings_.Equal(block.last_rmid);
  pages_replayed_++;
}

void PageCheck::Compare(const BlockTag& tag, const BlockState& block, uint8_t* rebuilt) {
  auto found = data_.Read(tag, disk_);
  if (!found) return Report(tag, block, found.error().message);
  if (*found == RelationFiles::Found::kNoFile)
    return Report(tag, block, "the file is missing on disk", Damage::kMissingFile);
  if (*found == RelationFiles::Found::kPastEnd)
    return Report(tag, block, "the block is past the end of the file on disk", Damage::kShortFile);
  pages_compared_++;
  const Lsn rebuilt_lsn = PageView(rebuilt).lsn();
  const uint16_t stored = PageView(disk_).checksum();
  // As for the server, a page that looks new must be all zeroes (PageIsVerifiedExtended).
  const bool wrong_checksum =
      checksums_ && !IsZeroed(disk_) &&
      (PageView(disk_).is_new() || stored != PageChecksum(disk_, tag.block));
  const uint8_t rmid = block.mask_rmid != 0 ? block.mask_rmid : GuessResourceManager(rebuilt);
  const auto offset = CompareWithDisk(rmid, tag, block.hint_lsn, rebuilt, disk_);
  if (!offset && !wrong_checksum) return findings_.Equal(block.last_rmid);
  std::memcpy(masked_disk_, disk_, kBlockSize);
  MaskForDisk(rmid, tag, masked_disk_);
  MaskForDisk(rmid, tag, rebuilt);
  const uint64_t rebuilt_hash = HashPage(rebuilt), disk_hash = HashPage(masked_disk_);
  const Damage damage = Diagnose(tag, rebuilt_lsn, rmid, rebuilt, wrong_checksum);
  Report(tag, block, Words(damage, PageView(disk_).lsn(), rebuilt_lsn, stored), damage, offset);
  if (damage == Damage::kZeroed) return;
  findings_.last().rebuilt_lsn = rebuilt_lsn;
  findings_.last().rebuilt_hash = rebuilt_hash;
  findings_.last().disk_hash = disk_hash;
}

Damage PageCheck::Diagnose(const BlockTag& tag, Lsn rebuilt_lsn, uint8_t rmid,
                           const uint8_t* masked, bool wrong_checksum) {
  const Lsn disk_lsn = PageView(disk_).lsn();
  if (IsZeroed(disk_)) return Damage::kZeroed;
  const bool lsn_is_right = tag.fork == kInitFork || disk_lsn == rebuilt_lsn;
  if (IsTorn(tag, rmid, masked, lsn_is_right)) return Damage::kTorn;
  if (wrong_checksum) return Damage::kChecksum;
  if (lsn_is_right) return Damage::kContent;
  return disk_lsn < rebuilt_lsn ? Damage::kStale : Damage::kFuture;
}

// Drives write whole sectors. The LSN stands in the first one, and is masked.
bool PageCheck::IsTorn(const BlockTag& tag, uint8_t rmid, const uint8_t* masked,
                       bool lsn_is_right) {
  constexpr size_t kSector = 512;
  uint8_t base[kBlockSize];
  auto found = base_.Read(tag, base);
  if (!found || *found != RelationFiles::Found::kPage) return false;
  const bool lsn_is_old = PageView(base).lsn() == PageView(disk_).lsn();
  MaskForDisk(rmid, tag, base);
  size_t old_sectors = 0, new_sectors = 0;
  for (size_t at = 0; at < kBlockSize; at += kSector) {
    const auto equal = [&](const uint8_t* page) {
      return std::memcmp(masked_disk_ + at, page + at, kSector) == 0;
    };
    const bool is_new = equal(masked) && (at > 0 || lsn_is_right);
    const bool is_old = equal(base) && (at > 0 || lsn_is_old);
    if (!is_new && !is_old) return false;
    old_sectors += !is_new;
    new_sectors += !is_old;
  }
  return old_sectors > 0 && new_sectors > 0;
}

void PageCheck::Report(const BlockTag& tag, const BlockState& block, std::string problem,
                       Damage damage, std::optional<uint32_t> offset) {
  const bool on_disk =
      damage != Damage::kNone && damage != Damage::kMissingFile && damage != Damage::kShortFile;
  findings_.Different(block.last_rmid, block.failure == 0,
                      {tag,
                       block.last_lsn,
                       block.last_start,
                       offset,
                       std::move(problem),
                       {},
                       damage,
                       on_disk ? PageView(disk_).lsn() : Lsn(),
                       pg::BlockFilePath(version_, tag)});
}

}  // namespace neon_redo
