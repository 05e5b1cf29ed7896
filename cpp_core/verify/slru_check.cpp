// Changes are applied as they come, to the page as the base backup has it. That one may be newer
// than the backup's start: every change sets what it sets whatever was there. Transactions of one
// time share a page, so of each SLRU one page is kept at hand, and the others in a pool.
#include "cpp_core/verify/slru_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/slru.h"
#include "cpp_core/store/slru_page.h"

namespace neon_redo {

namespace {

// The entry after the last multixact may be 0 on disk: see docs/ingest.md.
void ForgiveLastOffset(const SlruBlock& block, const ClusterState& state, uint8_t* rebuilt,
                       const uint8_t* disk) {
  const uint32_t next = state.next_multixact;
  if (block.kind != SlruKind::kMultixactOffsets || SlruBlockOfEntry(block.kind, next) != block)
    return;
  for (size_t at = next % kOffsetsPerPage * kOffsetEntrySize; at < kBlockSize;
       at += kOffsetEntrySize)
    if (LoadNative<uint32_t>(disk + at) == 0) std::memset(rebuilt + at, 0, kOffsetEntrySize);
}

}  // namespace

Status SlruCheck::Take(const Change& change, const WalRecord& record, uint8_t rmid) {
  if (change.key.field1 != PageKey::kSlru) return {};
  const auto block = change.key.ToSlruBlock();
  if (!block) return {};
  if (ChangesPage(change.kind)) return ChangePage(change, *block, record, rmid);
  Close(block->kind);
  removals_.push_back({change, record.start, record.end});
  removals_.back().change.payload = {};
  for (auto at = pages_.begin(); at != pages_.end();) {
    const bool gone =
        at->first.kind == block->kind && RemovesSlruSegment(change, block->kind, at->first.segment);
    if (gone) pool_.Release(&at->second.ref);
    at = gone ? pages_.erase(at) : std::next(at);
  }
  return {};
}

// Puts the page at hand back into the pool.
void SlruCheck::Close(SlruKind kind) {
  Open& open = open_[static_cast<size_t>(kind)];
  if (open.page == nullptr) return;
  uint8_t* place =
      open.page->ref.present() ? pool_.Get(&open.page->ref) : pool_.Allocate(&open.page->ref);
  std::memcpy(place, open.bytes.data(), kBlockSize);
  open.page = nullptr;
}

Status SlruCheck::ChangePage(const Change& change, const SlruBlock& block, const WalRecord& record,
                             uint8_t rmid) {
  Open& open = open_[static_cast<size_t>(block.kind)];
  if (open.page == nullptr || open.block != block) {
    Close(block.kind);
    const auto [at, is_new] = pages_.try_emplace(block);
    open.page = &at->second;
    open.block = block;
    open.bytes.assign(kBlockSize, 0);
    if (is_new) {
      const auto found = ReadSlruPage(base_, block, open.bytes.data());
      if (!found && (!reads_all_ || IsShortage(found.error().code)))
        return tl::unexpected(found.error());
      open.page->known = found && *found;
    } else if (open.page->ref.present()) {
      std::memcpy(open.bytes.data(), pool_.Get(&open.page->ref), kBlockSize);
    }
  }
  if (change.initialises()) open.page->known = true;
  open.page->last_start = record.start;
  open.page->last_end = record.end;
  open.page->last_rmid = rmid;
  return ApplySlruChange(change, record.end, &open.bytes);
}

bool SlruCheck::HasRemoved(SlruKind kind, uint32_t segment) const {
  return std::any_of(removals_.begin(), removals_.end(), [&](const Removal& removal) {
    return removal.change.key.field2 == static_cast<uint32_t>(kind) &&
           RemovesSlruSegment(removal.change, kind, segment);
  });
}

std::vector<SlruBlock> SlruCheck::Touched() const {
  std::vector<SlruBlock> out;
  out.reserve(pages_.size());
  for (const auto& [block, page] : pages_) out.push_back(block);
  return out;
}

Result<bool> SlruCheck::ReadFinal(const SlruBlock& block, uint8_t* page) {
  const auto found = pages_.find(block);
  if (found == pages_.end()) return ReadSlruPage(base_, block, page);
  Close(block.kind);
  if (!found->second.ref.present()) return false;
  std::memcpy(page, pool_.Get(&found->second.ref), kBlockSize);
  return found->second.known;
}

Status SlruCheck::Compare(const Disk* disk, Lsn settled, const ClusterState& state,
                          VerifyResult* result) {
  for (int kind = 0; kind < kSlruKinds; kind++) Close(static_cast<SlruKind>(kind));
  Findings findings;
  for (auto& [block, page] : pages_) {
    if (!page.known) {
      findings.SkipNotInBackup(block.kind);
    } else if (settled.valid() && page.last_end > settled) {
      findings.Skip(SkipReason::kChangedDuringBackup);
      if (disk != nullptr) RETURN_IF_ERROR(CheckPresence(*disk, block, page, &findings));
    } else if (disk == nullptr && !page.last_end.valid()) {
      continue;
    } else if (disk == nullptr) {
      findings.Equal(page.last_rmid);
      result->pages_replayed++;
    } else {
      RETURN_IF_ERROR(ComparePage(*disk, state, block, &page, &findings));
      result->pages_compared++;
      result->compared[SlruDirectory(block.kind)]++;
    }
  }
  if (disk != nullptr) RETURN_IF_ERROR(FindRemoved(*disk, settled, &findings));
  result->pages_spilled += pool_.spills();
  findings.AddTo(result);
  return pool_.status();
}

// A page that the base backup has, and that WAL does not remove, is there whatever it has become.
Status SlruCheck::CheckPresence(const Disk& disk, const SlruBlock& block, const Page& page,
                                Findings* findings) {
  if (HasRemoved(block.kind, block.segment)) return {};
  alignas(8) uint8_t bytes[kBlockSize];
  const auto in_base = ReadSlruPage(base_, block, bytes);
  if (!in_base && IsShortage(in_base.error().code)) return tl::unexpected(in_base.error());
  if (!in_base || !*in_base) return {};
  const auto on_disk = ReadSlruPage(disk.files, block, bytes);
  if (on_disk && *on_disk) return {};
  return ReportAbsence(block, page, on_disk, findings);
}

// on_disk: what reading the page has led to.
Status SlruCheck::ReportAbsence(const SlruBlock& block, const Page& page,
                                const Result<bool>& on_disk, Findings* findings) {
  if (!on_disk && IsShortage(on_disk.error().code)) return tl::unexpected(on_disk.error());
  Mismatch mismatch;
  mismatch.tag.block = block.block;
  mismatch.file = SlruFile(block.kind, block.segment);
  mismatch.lsn = page.last_end;
  mismatch.last_start = page.last_start;
  mismatch.damage = on_disk ? Damage::kShortFile : Damage::kUnreadable;
  mismatch.problem = on_disk ? "the page is not on disk: the file is missing or too short"
                             : on_disk.error().message;
  findings->Different(page.last_rmid, true, std::move(mismatch));
  return {};
}

Status SlruCheck::ComparePage(const Disk& on_disk, const ClusterState& state,
                              const SlruBlock& block, Page* page, Findings* findings) {
  uint8_t* rebuilt = pool_.Get(&page->ref);
  Mismatch mismatch;
  mismatch.tag.block = block.block;
  mismatch.file = SlruFile(block.kind, block.segment);
  mismatch.lsn = page->last_end;
  mismatch.last_start = page->last_start;
  alignas(8) uint8_t disk[kBlockSize];
  const auto found = ReadSlruPage(on_disk.files, block, disk);
  if (!found || !*found) return ReportAbsence(block, *page, found, findings);
  ForgiveLastOffset(block, state, rebuilt, disk);
  const auto* differs = std::mismatch(rebuilt, rebuilt + kBlockSize, disk).first;
  if (differs == rebuilt + kBlockSize) {
    findings->Equal(page->last_rmid);
    return {};
  }
  mismatch.offset = static_cast<uint32_t>(differs - rebuilt);
  mismatch.damage = Diagnose(block, rebuilt, disk);
  mismatch.problem = mismatch.damage == Damage::kZeroed ? "the page on disk is all zeroes"
                     : mismatch.damage == Damage::kStale
                         ? "the page on disk is stale: it is as in the base backup"
                     : mismatch.damage == Damage::kTorn
                         ? "the page on disk is torn: some of its sectors are as in the base "
                           "backup, the others as they must be"
                         : "the page on disk differs from the rebuilt one";
  findings->Different(page->last_rmid, true, std::move(mismatch));
  return {};
}

Status SlruCheck::CompareUnchanged(const BaseFiles& base, const Disk& disk,
                                   const ClusterState& state, const HasFile& is_reported,
                                   VerifyResult* result) {
  Findings findings, losses, ignored;
  for (int number = 0; number < kSlruKinds; number++) {
    const auto kind = static_cast<SlruKind>(number);
    for (const uint32_t segment : SlruSegments(base, kind))
      if (!HasRemoved(kind, segment))
        RETURN_IF_ERROR(
            CompareUnchangedSegment(disk, state, kind, segment, &findings,
                                    is_reported(SlruFile(kind, segment)) ? &ignored : &losses,
                                    &result->backup.unchanged_compared));
  }
  findings.AddTo(result);
  result->backup.losses += losses.different();
  losses.AddTo(result);
  return {};
}

Status SlruCheck::CompareUnchangedSegment(const Disk& with, const ClusterState& state,
                                          SlruKind kind, uint32_t segment, Findings* findings,
                                          Findings* losses, uint64_t* compared) {
  alignas(8) uint8_t base[kBlockSize], disk[kBlockSize];
  for (SlruBlock block{kind, segment, 0}; block.block < kSlruPagesPerSegment; block.block++) {
    if (pages_.contains(block)) continue;
    const auto in_base = ReadSlruPage(base_, block, base);
    if (!in_base && IsShortage(in_base.error().code)) return tl::unexpected(in_base.error());
    Mismatch mismatch;
    mismatch.tag.block = block.block;
    mismatch.file = SlruFile(kind, segment);
    if (!in_base) {
      mismatch.damage = Damage::kUnreadable;
      mismatch.problem = in_base.error().message;
      mismatch.in_backup = true;
      losses->Damaged(std::move(mismatch));
      continue;
    }
    if (!*in_base) continue;
    const auto on_disk = ReadSlruPage(with.files, block, disk);
    if (!on_disk && IsShortage(on_disk.error().code)) return tl::unexpected(on_disk.error());
    (*compared)++;
    if (!on_disk) {
      mismatch.damage = Damage::kUnreadable;
      mismatch.problem = on_disk.error().message;
    } else if (!*on_disk) {
      mismatch.damage = Damage::kShortFile;
      mismatch.problem =
          "the page is not on disk, but the base backup has it and no WAL removes it";
    } else {
      ForgiveLastOffset(block, state, base, disk);
      const auto* differs = std::mismatch(base, base + kBlockSize, disk).first;
      if (differs == base + kBlockSize) continue;
      mismatch.offset = static_cast<uint32_t>(differs - base);
      const bool is_zero =
          std::all_of(disk, disk + kBlockSize, [](uint8_t byte) { return byte == 0; });
      mismatch.damage = is_zero ? Damage::kZeroed : Damage::kContent;
      mismatch.problem =
          "no WAL since the base backup changes this page, but it is not as in the "
          "base backup";
    }
    findings->Damaged(std::move(mismatch));
  }
  return {};
}

bool SlruCheck::HasPages(SlruKind kind, uint32_t segment) const {
  const auto at = pages_.lower_bound({kind, segment, 0});
  return at != pages_.end() && at->first.kind == kind && at->first.segment == segment;
}

// Segments on disk that WAL has removed and not begun again: pages_ has what came afterwards.
Status SlruCheck::FindRemoved(const Disk& disk, Lsn settled, Findings* findings) const {
  for (int number = 0; number < kSlruKinds; number++) {
    const auto kind = static_cast<SlruKind>(number);
    for (const uint32_t segment : SlruSegments(disk.list, kind)) {
      if (HasPages(kind, segment)) continue;
      const auto last =
          std::find_if(removals_.rbegin(), removals_.rend(), [&](const Removal& removal) {
            return removal.change.key.field2 == static_cast<uint32_t>(kind) &&
                   RemovesSlruSegment(removal.change, kind, segment);
          });
      if (last == removals_.rend() || (settled.valid() && last->end > settled)) continue;
      Mismatch mismatch;
      mismatch.tag.block = kNoBlockNumber;
      mismatch.file = SlruFile(kind, segment);
      mismatch.lsn = last->end;
      mismatch.last_start = last->start;
      mismatch.damage = Damage::kExtraFile;
      mismatch.problem = "WAL has removed the segment, but it is still there";
      findings->Damaged(std::move(mismatch));
    }
  }
  return {};
}

Damage SlruCheck::Diagnose(const SlruBlock& block, const uint8_t* rebuilt,
                           const uint8_t* disk) const {
  if (std::all_of(disk, disk + kBlockSize, [](uint8_t byte) { return byte == 0; }))
    return Damage::kZeroed;
  uint8_t base[kBlockSize];
  const auto found = ReadSlruPage(base_, block, base);
  if (!found || !*found) return Damage::kContent;
  constexpr size_t kSector = 512;
  size_t new_sectors = 0;
  for (size_t at = 0; at < kBlockSize; at += kSector) {
    const bool is_old = std::memcmp(disk + at, base + at, kSector) == 0;
    if (!is_old && std::memcmp(disk + at, rebuilt + at, kSector) != 0) return Damage::kContent;
    new_sectors += !is_old;
  }
  return new_sectors == 0 ? Damage::kStale : Damage::kTorn;
}

}  // namespace neon_redo
