// A page of the visibility map as a block of a heap record that clears bits in it. Newer minor
// releases of 17 and 18 (17.12 and 18.6 do) write such references (heap_xlog_* in
// access/heap/heapam_xlog.c); without one, redo clears the bits too, and cpp_core/ingest tells. A
// reference alone does not say that bits are cleared: later versions name the same block where they
// set them.
//
// The page gets the record's LSN only if a bit was set (visibilitymap_clear).
#include "cpp_core/redo/native/clear_map.h"

#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/visibility_map.h"
#include "cpp_core/redo/native/heap.h"

namespace neon_redo::native {

namespace {

namespace heap = layout::heap;
namespace heap2 = layout::heap2;

// The block's bits; false if the page of the map has others, or is all zeroes: for redo of these
// records it is then not there (XLogReadBufferExtended with RBM_NORMAL).
bool ClearBits(Change* change, uint32_t heap_block, uint8_t bits) {
  if (change->block.tag.block != MapPageOf(heap_block) || IsNew(change->page)) return false;
  if (VisibilityBits(change->page, heap_block) & bits) {
    ClearVisibilityBits(change->page, heap_block, bits);
    change->keep_lsn = false;
  }
  return true;
}

bool ClearAll(Change* change) {
  change->keep_lsn = true;
  return ClearBits(change, change->record.block(0)->tag.block, kAllVisibilityBits);
}

bool ClearFrozen(Change* change) {
  change->keep_lsn = true;
  return ClearBits(change, change->record.block(0)->tag.block, kAllFrozenBit);
}

uint32_t OldBlockOfUpdate(const RecordView& record) {
  return record.block(record.block(1) != nullptr ? 1 : 0)->tag.block;
}

// The map's page of the new tuple, and of the old one if it has both.
bool ClearForUpdate(Change* change) {
  const uint32_t old_block = OldBlockOfUpdate(change->record);
  change->keep_lsn = true;
  if (!ClearBits(change, change->record.block(0)->tag.block, kAllVisibilityBits)) return false;
  const bool clears_old = change->main()[heap::kUpdateFlags] & heap::kOldAllVisibleCleared;
  return !clears_old || change->block.tag.block != MapPageOf(old_block) ||
         ClearBits(change, old_block, kAllVisibilityBits);
}

bool ClearOldOfUpdate(Change* change) {
  change->keep_lsn = true;
  return ClearBits(change, OldBlockOfUpdate(change->record), kAllVisibilityBits);
}

// Which block of which record clears bits, by which flag in the main data.
struct Rule {
  uint8_t rmid, operation, id;
  size_t flags_at;
  uint8_t flag;
  Routine routine;
};
constexpr Rule kRules[] = {
    {kRmHeap, heap::kInsert, 1, heap::kInsertFlags, heap::kAllVisibleCleared, ClearAll},
    {kRmHeap, heap::kDelete, 1, heap::kDeleteFlags, heap::kAllVisibleCleared, ClearAll},
    {kRmHeap, heap::kLock, 1, heap::kLockFlags, heap::kAllFrozenCleared, ClearFrozen},
    {kRmHeap, heap::kUpdate, 2, heap::kUpdateFlags, heap::kNewAllVisibleCleared, ClearForUpdate},
    {kRmHeap, heap::kUpdate, 3, heap::kUpdateFlags, heap::kOldAllVisibleCleared, ClearOldOfUpdate},
    {kRmHeap, heap::kHotUpdate, 2, heap::kUpdateFlags, heap::kNewAllVisibleCleared, ClearForUpdate},
    {kRmHeap, heap::kHotUpdate, 3, heap::kUpdateFlags, heap::kOldAllVisibleCleared,
     ClearOldOfUpdate},
    {kRmHeap2, heap2::kMultiInsert, 1, heap2::kMultiInsertFlags, heap::kAllVisibleCleared,
     ClearAll},
    {kRmHeap2, heap2::kLockUpdated, 1, heap2::kLockUpdatedFlags, heap::kAllFrozenCleared,
     ClearFrozen},
};

// Redo initialises block 0, whichever block is wanted.
bool InitialisesHeapPage(const RecordView& record, uint8_t operation) {
  if ((record.info() & heap::kInitPage) == 0) return false;
  return record.rmid() == kRmHeap2 ? operation == heap2::kMultiInsert
                                   : operation == heap::kInsert || operation == heap::kUpdate ||
                                         operation == heap::kHotUpdate;
}

}  // namespace

Routine FindClearMapRoutine(const RecordView& record, int id) {
  const BlockRef* changed = record.block(0);
  const uint8_t operation = record.info() & layout::kOperationMask;
  if (changed == nullptr || changed->tag.fork != kMainFork || !BlockAgrees(record, id, false) ||
      !BlockAgrees(record, 0, InitialisesHeapPage(record, operation)))
    return nullptr;
  const Bytes main = record.main_data();
  for (const Rule& rule : kRules) {
    if (rule.rmid == record.rmid() && rule.operation == operation && rule.id == id)
      return main.size() > rule.flags_at && (main[rule.flags_at] & rule.flag) ? rule.routine
                                                                              : nullptr;
  }
  return nullptr;
}

}  // namespace neon_redo::native

namespace neon_redo {

bool ClearsMap(const RecordView& record, int block_id) {
  return record.block(block_id)->tag.fork == kVisibilityMapFork &&
         (record.rmid() == kRmHeap || record.rmid() == kRmHeap2) &&
         native::FindClearMapRoutine(record, block_id) != nullptr;
}

}  // namespace neon_redo
