// Changes are applied as they come, to the page as the base backup has it. That one may be newer
// than the backup's start: every change sets what it sets whatever was there. Transactions of one
// time share a page, so of each SLRU one page is kept at hand, and the others in a pool.
#include "cpp_core/verify/slru_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cpp_core/ingest/slru.h"
#include "cpp_core/store/slru_page.h"

namespace neon_redo {

Status SlruCheck::Take(const Change& change, const WalRecord& record, uint8_t rmid) {
  if (change.key.field1 != PageKey::kSlru) return {};
  const auto block = change.key.ToSlruBlock();
  if (!block) return {};
  if (ChangesPage(change.kind)) return ChangePage(change, *block, record, rmid);
  Close(block->kind);
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
      const auto found = ReadSlruPage(base_directory_, block, open.bytes.data());
      if (!found) return tl::unexpected(found.error());
      open.page->known = *found;
    } else {
      std::memcpy(open.bytes.data(), pool_.Get(&open.page->ref), kBlockSize);
    }
  }
  if (change.initialises()) open.page->known = true;
  open.page->last_start = record.start;
  open.page->last_end = record.end;
  open.page->last_rmid = rmid;
  return ApplySlruChange(change, record.end, &open.bytes);
}

Status SlruCheck::Compare(const std::string& data_directory, const ClusterState& state,
                          VerifyResult* result) {
  for (int kind = 0; kind < kSlruKinds; kind++) Close(static_cast<SlruKind>(kind));
  Findings findings;
  for (auto& [block, page] : pages_) {
    if (!page.known) {
      findings.Skip(
          fmt::format("{} page that the backup does not have", SlruDirectory(block.kind)));
    } else if (data_directory.empty()) {
      findings.Equal(page.last_rmid);
      result->pages_replayed++;
    } else {
      if (Status s = ComparePage(data_directory, state, block, &page, &findings); !s) return s;
      result->pages_compared++;
      result->compared[SlruDirectory(block.kind)]++;
    }
  }
  result->pages_spilled += pool_.spills();
  findings.AddTo(result);
  return pool_.status();
}

Status SlruCheck::ComparePage(const std::string& data_directory, const ClusterState& state,
                              const SlruBlock& block, Page* page, Findings* findings) {
  uint8_t* rebuilt = pool_.Get(&page->ref);
  Mismatch mismatch;
  mismatch.tag.block = block.block;
  mismatch.file = SlruFile(block.kind, block.segment);
  mismatch.lsn = page->last_end;
  mismatch.last_start = page->last_start;
  alignas(8) uint8_t disk[kBlockSize];
  const auto found = ReadSlruPage(data_directory, block, disk);
  if (!found) return tl::unexpected(found.error());
  if (!*found) {
    mismatch.damage = Damage::kShortFile;
    mismatch.problem = "the page is not on disk: the file is missing or too short";
    findings->Different(page->last_rmid, true, std::move(mismatch));
    return {};
  }
  if (block.kind == SlruKind::kMultixactOffsets) {
    // The entry behind the last multixact, see docs/ingest.md.
    const uint32_t next = state.next_multixact;
    if (SlruBlockOfPage(block.kind, next / kOffsetsPerPage) == block)
      for (size_t at = next % kOffsetsPerPage * 4; at < kBlockSize; at += 4)
        if (LoadNative<uint32_t>(disk + at) == 0) std::memset(rebuilt + at, 0, 4);
  }
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

Damage SlruCheck::Diagnose(const SlruBlock& block, const uint8_t* rebuilt,
                           const uint8_t* disk) const {
  if (std::all_of(disk, disk + kBlockSize, [](uint8_t byte) { return byte == 0; }))
    return Damage::kZeroed;
  uint8_t base[kBlockSize];
  const auto found = ReadSlruPage(base_directory_, block, base);
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
