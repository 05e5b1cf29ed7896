#include "cpp_core/verify/page_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cpp_core/page/mask.h"
#include "cpp_core/page/page.h"
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

}  // namespace

void PageCheck::Check(Rebuilder* rebuilder, Rebuilder::Blocks::Entry* entry) {
  BlockState& block = entry->value;
  if (block.failure != 0) {
    if (block.unsupported)
      findings_.Skip(rebuilder->failure(block.failure));
    else if (rebuilder->IsCopied(entry->tag.rel))
      findings_.Skip("database created by file copy");
    else
      Report(entry->tag, block, rebuilder->failure(block.failure));
  } else if (block.map_is_lost) {
    findings_.Skip("visibility map copied by CREATE DATABASE");
  } else if (block.page.present()) {
    Compare(entry->tag, block, rebuilder->pages().Get(&block.page));
  }
  rebuilder->pages().Release(&block.page);
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
  const bool has_checksum = checksums_ && !PageView(disk_).is_new();
  const bool wrong_checksum = has_checksum && stored != PageChecksum(disk_, tag.block);
  const uint8_t rmid = block.mask_rmid != 0 ? block.mask_rmid : GuessResourceManager(rebuilt);
  std::memcpy(masked_disk_, disk_, kBlockSize);
  const auto offset = CompareWithDisk(rmid, tag, block.hint_lsn, rebuilt, masked_disk_);
  if (!offset && !wrong_checksum) return findings_.Equal(block.last_rmid);
  const Damage damage = Diagnose(tag, rebuilt_lsn, rmid, rebuilt, wrong_checksum);
  Report(tag, block, Words(damage, PageView(disk_).lsn(), rebuilt_lsn, stored), damage, offset);
}

Damage PageCheck::Diagnose(const BlockTag& tag, Lsn rebuilt_lsn, uint8_t rmid,
                           const uint8_t* masked, bool wrong_checksum) {
  const Lsn disk_lsn = PageView(disk_).lsn();
  if (std::all_of(disk_, disk_ + kBlockSize, [](uint8_t byte) { return byte == 0; }))
    return Damage::kZeroed;
  if (IsTorn(tag, rmid, masked)) return Damage::kTorn;
  if (wrong_checksum) return Damage::kChecksum;
  if (tag.fork == kInitFork || disk_lsn == rebuilt_lsn) return Damage::kContent;
  return disk_lsn < rebuilt_lsn ? Damage::kStale : Damage::kFuture;
}

// Drives write whole sectors. The LSN stands in the first one.
bool PageCheck::IsTorn(const BlockTag& tag, uint8_t rmid, const uint8_t* masked) {
  constexpr size_t kSector = 512;
  uint8_t base[kBlockSize];
  auto found = base_.Read(tag, base);
  if (!found || *found != RelationFiles::Found::kPage) return false;
  std::memcpy(masked_disk_, disk_, kBlockSize);
  MaskUnlogged(rmid, masked_disk_, tag.block);
  MaskPage(rmid, masked_disk_, tag.block);
  size_t old_sectors = 0, new_sectors = 0;
  for (size_t at = 0; at < kBlockSize; at += kSector) {
    const bool is_new = std::memcmp(masked_disk_ + at, masked + at, kSector) == 0;
    const bool is_old = std::memcmp(disk_ + at, base + at, kSector) == 0;
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
                       on_disk ? PageView(disk_).lsn() : Lsn()});
}

}  // namespace neon_redo
