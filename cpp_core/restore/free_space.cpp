// Pages are a tree of three levels, written depth first. A page is a heap of bytes: kInner inner nodes, then
// the leaves, which are the page's slots (storage/freespace/README, fsmpage.c).
#include "cpp_core/restore/free_space.h"

#include <algorithm>
#include <cstring>

#include "cpp_core/base/try.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/record_layout.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

namespace {

constexpr uint32_t kSlots = layout::smgr::kSlotsPerFsmPage;

}  // namespace

namespace free_space {

namespace {

constexpr size_t kNodesAt = kPageHeaderSize + 4;  // after fp_next_slot
constexpr uint32_t kNodes = kBlockSize - kNodesAt;
constexpr uint32_t kInner = kBlockSize / 2 - 1;
static_assert(kInner + kSlots == kNodes);

}  // namespace

void SetLast(uint8_t* page, uint32_t slot, uint8_t value) {
  uint8_t* nodes = page + kNodesAt;
  std::memset(nodes + kInner + slot, 0, kSlots - slot);
  nodes[kInner + slot] = value;
  for (uint32_t node = kInner; node-- > 0;) {
    const uint32_t left = 2 * node + 1, right = left + 1;
    nodes[node] = std::max(left < kNodes ? nodes[left] : uint8_t{0},
                           right < kNodes ? nodes[right] : uint8_t{0});
  }
}

uint8_t Most(const uint8_t* page) { return page[kNodesAt]; }

}  // namespace free_space

namespace {

// The block of the page at a level (0: leaves) that has this leaf page below it (fsm_logical_to_physical).
uint32_t BlockAt(uint32_t leaf, uint32_t level) {
  uint32_t first = leaf;
  for (uint32_t l = 0; l < level; l++) first /= kSlots;
  for (uint32_t l = 0; l < level; l++) first *= kSlots;
  uint32_t pages = 0;
  for (uint32_t l = 0, n = first; l < 3; l++, n /= kSlots) pages += n + 1;
  return pages - level - 1;
}

}  // namespace

Status FreeSpaceMaps::Take(const RecordView& view, Lsn end, const ChangeList& changes) {
  for (int id = 0; id <= view.max_block_id(); id++) {
    const BlockRef* ref = view.block(id);
    if (ref != nullptr && ref->tag.fork == kFreeSpaceMapFork && ref->apply_image) [[unlikely]]
      RETURN_IF_ERROR(TakeImage(*ref, end));
  }
  uint32_t heap_blocks = UINT32_MAX;
  for (const Change& change : changes) {
    const RelFileNode rel = RelationOf(change);
    const uint8_t fork = change.key.field5;
    switch (change.kind) {
      case ChangeKind::kTruncateFork:
        if (fork == kMainFork) heap_blocks = change.number;
        if (fork == kFreeSpaceMapFork && heap_blocks != UINT32_MAX)
          RETURN_IF_ERROR(Cut(rel, heap_blocks, change.number));
        break;
      case ChangeKind::kCreateFork:
        if (!(change.flags & kNewRelationFile) || (fork != kMainFork && fork != kFreeSpaceMapFork))
          break;
        [[fallthrough]];
      case ChangeKind::kDropRelation:
        Forget({rel, 0, 0}, {rel, kMaxForkNumber, UINT32_MAX});
        ends_[rel] = 0;
        break;
      case ChangeKind::kCreateDatabase:
      case ChangeKind::kDropDatabase:
        Forget({{rel.spc, rel.db, 0}, 0, 0},
               {{rel.spc, rel.db, UINT32_MAX}, kMaxForkNumber, UINT32_MAX});
        break;
      default:
        break;
    }
  }
  return pool_.status();
}

void FreeSpaceMaps::Forget(const BlockTag& first, const BlockTag& last) {
  const auto begin = pages_.lower_bound(first), end = pages_.upper_bound(last);
  for (auto at = begin; at != end; ++at) pool_.Release(&at->second);
  pages_.erase(begin, end);
}

Status FreeSpaceMaps::TakeImage(const BlockRef& ref, Lsn end) {
  PageRef& place = pages_[ref.tag];
  uint8_t* page = place.present() ? pool_.Get(&place) : pool_.Allocate(&place);
  RETURN_IF_ERROR(RestoreImage(ref, page));
  if (!pg::IsNew(page)) SetPageLsn(page, end);
  return {};
}

Result<uint8_t*> FreeSpaceMaps::Get(const BlockTag& tag) {
  const auto known = pages_.find(tag);
  if (known != pages_.end()) return pool_.Get(&known->second);
  const auto end = ends_.find(tag.rel);
  if (end != ends_.end() && tag.block >= end->second) return nullptr;
  alignas(8) uint8_t base[kBlockSize];
  ASSIGN_OR_RETURN(const bool found, base_->ReadOrFail(tag, base));
  // A damaged one is a page of zeroes for the server (fsm_readbuf).
  if (!found || pg::IsNew(base) || CheckPage(base, tag.block, options_.checksums)) return nullptr;
  uint8_t* page = pool_.Allocate(&pages_[tag]);
  std::memcpy(page, base, kBlockSize);
  return page;
}

// FreeSpaceMapPrepareTruncateRel, then FreeSpaceMapVacuumRange up to the root: the first page that is cut is the
// last below each of those above it.
Status FreeSpaceMaps::Cut(const RelFileNode& rel, uint32_t heap_blocks, uint32_t map_blocks) {
  Forget({rel, kFreeSpaceMapFork, map_blocks}, {rel, kFreeSpaceMapFork, UINT32_MAX});
  auto [end, is_new] = ends_.try_emplace(rel, map_blocks);
  end->second = std::min(end->second, map_blocks);
  uint32_t slot = heap_blocks % kSlots;
  uint32_t above = heap_blocks / kSlots;
  const uint32_t leaf = above;
  uint8_t most = 0;
  for (uint32_t level = 0; level < 3; level++) {
    const BlockTag tag{rel, kFreeSpaceMapFork, BlockAt(leaf, level)};
    ASSIGN_OR_RETURN(uint8_t* const page, Get(tag));
    if (page != nullptr && tag.block < map_blocks) free_space::SetLast(page, slot, most);
    most = page != nullptr && tag.block < map_blocks ? free_space::Most(page) : uint8_t{0};
    slot = above % kSlots;
    above /= kSlots;
  }
  return pool_.status();
}

Status FreeSpaceMaps::Write() {
  PageWriter writer(options_);
  for (auto& [tag, place] : pages_) {
    uint8_t* page = pool_.Get(&place);
    RETURN_IF_ERROR(writer.Write(tag, page));
    pool_.Release(&place);
  }
  RETURN_IF_ERROR(writer.Flush());
  pages_.clear();
  ends_.clear();
  base_ = std::make_unique<RelationFiles>(options_.base, options_.version);
  return pool_.status();
}

}  // namespace neon_redo
