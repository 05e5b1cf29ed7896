#include "cpp_core/verify/compare.h"

#include <cstring>

#include "cpp_core/pg/mask.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/rmgr.h"

namespace neon_redo {
namespace {

std::optional<uint32_t> FirstDifference(const uint8_t* a, const uint8_t* b) {
  if (std::memcmp(a, b, kBlockSize) == 0) return std::nullopt;
  uint32_t at = 0;
  while (a[at] == b[at]) at++;
  return at;
}

// Hints are bits that are set, of line pointers, tuples and special space.
bool HasHintsOf(const uint8_t* rebuilt, const uint8_t* disk) {
  const PageView view(rebuilt);
  const size_t hole = view.has_valid_space() ? view.lower() : kBlockSize;
  const size_t hole_end = view.has_valid_space() ? view.upper() : kBlockSize;
  uint8_t missing = 0;
  for (size_t at = kPageHeaderSize; at < hole; at++) missing |= rebuilt[at] & ~disk[at];
  for (size_t at = hole_end; at < kBlockSize; at++) missing |= rebuilt[at] & ~disk[at];
  return missing == 0;
}

}  // namespace

std::optional<uint32_t> CompareWithImage(uint8_t rmid, const BlockTag& tag, uint8_t* rebuilt,
                                         const uint8_t* image) {
  if (AreEqualMasked(rmid, rebuilt, image, tag.block)) return std::nullopt;
  uint8_t masked[kBlockSize];
  std::memcpy(masked, image, kBlockSize);
  // An impossible header stops the mask midway, in the same place for equal pages.
  for (uint8_t* page : {rebuilt, masked}) {
    MaskPage(rmid, page, tag.block);
    MaskUnread(rmid, page);
  }
  return FirstDifference(rebuilt, masked);
}

bool IsLsnRight(const BlockTag& tag, uint8_t rmid, const AtRest& at_rest, const uint8_t* rebuilt,
                const uint8_t* disk) {
  const Lsn rebuilt_lsn = PageView(rebuilt).lsn();
  const Lsn disk_lsn = PageView(disk).lsn();
  const auto has = [&](Lsn lsn) {
    return disk_lsn == lsn || (at_rest.any_side && rebuilt_lsn == lsn);
  };
  if (tag.fork == kInitFork && has(Lsn())) return true;
  // GistBuildLSN (access/gist.h).
  if (rmid == kRmGist && at_rest.only_images && has(Lsn(1))) return true;
  using Verdict = ToleratedLsn::Verdict;
  const Verdict verdict =
      at_rest.tolerated.Judge(at_rest.hints, rebuilt_lsn, disk_lsn, at_rest.last);
  return verdict == Verdict::kRight ||
         (verdict == Verdict::kRightWithHints && HasHintsOf(rebuilt, disk));
}

std::optional<uint32_t> CompareWithDisk(uint8_t rmid, const BlockTag& tag, const AtRest& at_rest,
                                        const uint8_t* rebuilt, const uint8_t* disk) {
  if (!IsLsnRight(tag, rmid, at_rest, rebuilt, disk)) {
    // The first byte of the LSN where the rebuilt page has the same, which does not suffice.
    uint32_t at = 0;
    while (at < sizeof(Lsn) && rebuilt[at] == disk[at]) at++;
    return at % sizeof(Lsn);
  }
  if (tag.fork != kVisibilityMapFork && AreEqualMasked(rmid, rebuilt, disk, tag.block))
    return std::nullopt;
  uint8_t masked[kBlockSize], masked_disk[kBlockSize];
  std::memcpy(masked, rebuilt, kBlockSize);
  std::memcpy(masked_disk, disk, kBlockSize);
  MaskForDisk(rmid, tag, masked);
  MaskForDisk(rmid, tag, masked_disk);
  return FirstDifference(masked, masked_disk);
}

void MaskForDisk(uint8_t rmid, const BlockTag& tag, uint8_t* page) {
  if (tag.fork == kVisibilityMapFork) return MaskLsnAndChecksum(page);
  MaskUnlogged(rmid, page, tag.block);
  MaskPage(rmid, page, tag.block);
  MaskUnread(rmid, page);
}

}  // namespace neon_redo
