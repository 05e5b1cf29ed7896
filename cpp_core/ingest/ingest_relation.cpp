// Storage records, and the part of the visibility map that heap records change without naming its
// page: each heap_xlog_… function of access/heap/heapam.c clears the bits of the block it changes
// when the record's flags say so. Setting bits is a record that names the map's page. Newer
// minor releases of 17 and 18 (17.12 and 18.6 do) name it to clear bits, too, and then redo does no
// more than that says.
#include "cpp_core/ingest/taker.h"
#include "cpp_core/pg/visibility_map.h"

namespace neon_redo {

namespace {

PageKey MapKey(const RelFileNode& rel, uint32_t heap_block) {
  return PageKey::OfBlock({rel, kVisibilityMapFork, MapPageOf(heap_block)});
}

// Blocks that stay of the free space map when its heap is cut to this many: up to the leaf page of
// the first block that goes, in a tree of three levels written depth first
// (FreeSpaceMapPrepareTruncateRel, fsm_logical_to_physical).
uint32_t FreeSpaceMapBlocks(uint32_t heap_blocks) {
  const uint32_t leaf = heap_blocks / layout::smgr::kSlotsPerFsmPage;
  uint32_t block = leaf;
  for (uint32_t n = leaf, level = 1; level < 3; level++) {
    n /= layout::smgr::kSlotsPerFsmPage;
    block += n + 1;
  }
  return heap_blocks % layout::smgr::kSlotsPerFsmPage != 0 ? block + 1 : block;
}

}  // namespace

bool RelationTaker::TakeSmgr() {
  namespace smgr = layout::smgr;
  if (record_.info() == smgr::kCreate) {
    smgr::Create create;
    if (!Read(&create)) return false;
    if (create.fork > kMaxForkNumber) return Wrong("it creates a fork that does not exist");
    Push(ChangeKind::kCreateFork,
         PageKey::OfRelationSize(create.rel, static_cast<uint8_t>(create.fork)))
        .flags = kNewRelationFile;
    return true;
  }
  if (record_.info() != smgr::kTruncate) return true;
  smgr::Truncate cut;
  if (!Read(&cut)) return false;
  // smgr_redo makes the relation if need be.
  Push(ChangeKind::kCreateFork, PageKey::OfRelationSize(cut.rel, kMainFork));
  auto truncate = [&](uint8_t fork, uint32_t blocks) {
    Push(ChangeKind::kTruncateFork, PageKey::OfRelationSize(cut.rel, fork)).number = blocks;
  };
  if (cut.flags & smgr::kTruncateHeap) truncate(kMainFork, cut.blocks);
  if (cut.flags & smgr::kTruncateFreeSpaceMap)
    truncate(kFreeSpaceMapFork, FreeSpaceMapBlocks(cut.blocks));
  if (cut.flags & smgr::kTruncateVisibilityMap) {
    if (MapPageIsCut(cut.blocks)) {
      Change& change = Push(ChangeKind::kTruncateVisibility, MapKey(cut.rel, cut.blocks));
      change.number = MapByteOf(cut.blocks);
      change.flags = static_cast<uint8_t>(MapShiftOf(cut.blocks));
    }
    truncate(kVisibilityMapFork, MapPageOf(cut.blocks) + MapPageIsCut(cut.blocks));
  }
  return true;
}

bool RelationTaker::TakeHeap() {
  namespace heap = layout::heap;
  switch (record_.info() & layout::kOperationMask) {
    case heap::kInsert:
      return ClearVisibility(heap::kInsertFlags, heap::kAllVisibleCleared, kAllVisibilityBits);
    case heap::kDelete:
      return ClearVisibility(heap::kDeleteFlags, heap::kAllVisibleCleared, kAllVisibilityBits);
    case heap::kUpdate:
    case heap::kHotUpdate:
      return TakeHeapUpdate();
    case heap::kLock:
      return ClearVisibility(heap::kLockFlags, heap::kAllFrozenCleared, kAllFrozenBit);
    default:
      return true;
  }
}

bool RelationTaker::TakeHeap2() {
  namespace heap2 = layout::heap2;
  switch (record_.info() & layout::kOperationMask) {
    case heap2::kMultiInsert:
      return ClearVisibility(heap2::kMultiInsertFlags, layout::heap::kAllVisibleCleared,
                             kAllVisibilityBits);
    case heap2::kLockUpdated:
      return ClearVisibility(heap2::kLockUpdatedFlags, layout::heap::kAllFrozenCleared,
                             kAllFrozenBit);
    default:
      return true;
  }
}

bool RelationTaker::ClearVisibility(size_t flags_at, uint8_t flag, uint8_t bits) {
  const Bytes data = record_.main_data();
  if (data.size() <= flags_at) return TooShort();
  if (!(data[flags_at] & flag)) return true;
  const BlockRef* ref = record_.block(0);
  if (ref == nullptr) return Wrong("it names no block");
  if (NamesMap(1)) return true;
  PushClear(ref->tag, ref->tag.block, kNoBlock, bits);
  return true;
}

bool RelationTaker::NamesMap(int id) const {
  const BlockRef* ref = record_.block(id);
  return ref != nullptr && ref->tag.fork == kVisibilityMapFork;
}

// Block 0 is the new tuple's, block 1 the old one's when that is another block. Where the record
// names the map's pages, block 2 has the new tuple's bits and block 3 the old one's.
bool RelationTaker::TakeHeapUpdate() {
  namespace heap = layout::heap;
  const Bytes data = record_.main_data();
  if (data.size() <= heap::kUpdateFlags) return TooShort();
  const uint8_t flags = data[heap::kUpdateFlags];
  if (!(flags & (heap::kOldAllVisibleCleared | heap::kNewAllVisibleCleared))) return true;
  const BlockRef* ref = record_.block(0);
  if (ref == nullptr) return Wrong("it names no block");
  if (NamesMap(2) || NamesMap(3)) return true;
  const uint32_t old_block = record_.block(1) ? record_.block(1)->tag.block : ref->tag.block;
  const bool clear_old = flags & heap::kOldAllVisibleCleared;
  const bool clear_new = flags & heap::kNewAllVisibleCleared;
  const bool same_page = MapPageOf(old_block) == MapPageOf(ref->tag.block);
  if (clear_old && clear_new && same_page) {
    PushClear(ref->tag, ref->tag.block, old_block, kAllVisibilityBits);
    return true;
  }
  if (clear_old) PushClear(ref->tag, kNoBlock, old_block, kAllVisibilityBits);
  if (clear_new) PushClear(ref->tag, ref->tag.block, kNoBlock, kAllVisibilityBits);
  return true;
}

void RelationTaker::PushClear(const BlockTag& heap, uint32_t new_block, uint32_t old_block,
                              uint8_t bits) {
  Change& change = Push(ChangeKind::kClearVisibility,
                        MapKey(heap.rel, new_block != kNoBlock ? new_block : old_block));
  change.number = new_block;
  change.number2 = old_block;
  change.flags = bits;
}

}  // namespace neon_redo
