// Resource manager Heap2: heap2_redo and heap_xlog_* in access/heap/heapam.c, visibilitymap_set in
// access/heap/visibilitymap.c; the records are in access/heapam_xlog.h.
#include "cpp_core/pg/version.h"
#include "cpp_core/pg/visibility_map.h"
#include "cpp_core/redo/native/heap.h"

namespace neon_redo::native {

namespace {

namespace op = layout::heap2;
using layout::heap::kInitPage;

// A line pointer of a heap page, by a number out of a record.
bool IsLine(const uint8_t* page, uint16_t number) {
  return number >= 1 && number <= MaxOffset(page);
}

// xl_heap_prune: latestRemovedXid, nredirected, ndead. The block's data: pairs of numbers to
// redirect, numbers now dead, numbers now unused (heap_page_prune_execute).
bool Prune(Change* change) {
  const Bytes main = change->main(), data = change->data();
  uint8_t* page = change->page;
  if (main.size() < 8 || !HeapHeaderFits(page)) return false;
  const uint32_t redirected = Get16(main.data() + 4), dead = Get16(main.data() + 6);
  const size_t all = data.size() / 2;
  if (data.size() % 2 != 0 || size_t{redirected} * 2 + dead > all) return false;
  const uint8_t* in = data.data();
  for (uint32_t i = 0; i < redirected; i++, in += 4) {
    if (!IsLine(page, Get16(in)) || !IsLine(page, Get16(in + 2))) return false;
    PutLinePointer(page, Get16(in), Get16(in + 2), kLpRedirect, 0);
  }
  for (uint32_t i = 0; i < dead; i++, in += 2) {
    if (!IsLine(page, Get16(in))) return false;
    PutLinePointer(page, Get16(in), 0, kLpDead, 0);
  }
  for (const uint8_t* end = data.data() + data.size(); in < end; in += 2) {
    if (!IsLine(page, Get16(in))) return false;
    PutLinePointer(page, Get16(in), 0, kLpUnused, 0);
  }
  return RepairFragmentation(page);
}

// xl_heap_vacuum: nunused. The block's data: their numbers; all are dead.
bool Vacuum(Change* change) {
  const Bytes main = change->main(), data = change->data();
  uint8_t* page = change->page;
  if (main.size() < 2 || !HeapHeaderFits(page)) return false;
  const uint32_t unused = Get16(main.data());
  if (unused == 0 || data.size() < 2 * size_t{unused}) return false;
  for (uint32_t i = 0; i < unused; i++) {
    const uint16_t number = Get16(data.data() + 2 * size_t{i});
    if (!IsLine(page, number) || GetLinePointer(page, number).flags() != kLpDead ||
        GetLinePointer(page, number).length() != 0)
      return false;
    PutLinePointer(page, number, 0, kLpUnused, 0);
  }
  TruncateLinePointers(page);
  return true;
}

// xl_heap_freeze_page: cutoff_xid, ntuples. The block's data: that many xl_heap_freeze_tuple
// (xmax, offset, t_infomask2, t_infomask, frzflags; 12 bytes with padding).
bool FreezePage(Change* change) {
  constexpr size_t kPlanSize = 12;
  constexpr uint8_t kFreezeXvac = 0x02, kInvalidXvac = 0x04;
  const Bytes main = change->main(), data = change->data();
  if (main.size() < 6 || !HeapHeaderFits(change->page)) return false;
  const uint32_t tuples = Get16(main.data() + 4);
  if (data.size() < tuples * kPlanSize) return false;
  for (uint32_t i = 0; i < tuples; i++) {
    const uint8_t* plan = data.data() + i * kPlanSize;
    Item tuple;
    if (!FindNormalItem(change->page, Get16(plan + 4), kTupleHeaderSize, &tuple)) return false;
    Put32(tuple.data + kXmax, Get32(plan));
    if (plan[10] & kFreezeXvac) Put32(tuple.data + kCid, 2);  // FrozenTransactionId
    if (plan[10] & kInvalidXvac) Put32(tuple.data + kCid, 0);
    Put16(tuple.data + kInfomask2, Get16(plan + 6));
    Put16(tuple.data + kInfomask, Get16(plan + 8));
  }
  return true;
}

// xl_heap_visible: cutoff_xid, flags. Block 1: the heap page. Redo moves its LSN only on clusters
// with checksums or wal_log_hints. The worker does not know of either, so the LSN stays here as
// well.
bool VisibleHeapPage(Change* change) {
  if (change->main().size() < 5) return false;
  SetFlags(change->page, kPdAllVisible);
  change->keep_lsn = true;
  return true;
}

// Block 0: the page of the visibility map, two bits for each heap block.
bool VisibleMapPage(Change* change) {
  const Bytes main = change->main();
  if (main.size() < 5) return false;
  // What is not a bit of the map says that the relation is a catalog.
  const uint8_t bits = main[4] & kAllVisibilityBits;
  const uint32_t heap_block = change->record.block(1)->tag.block;
  if (bits == 0 || (main[4] & ~change->record.version().visibility_flags) ||
      change->block.tag.block != MapPageOf(heap_block))
    return false;
  if (IsNew(change->page)) InitPage(change->page, 0);
  if (VisibilityBits(change->page, heap_block) == bits)
    change->keep_lsn = true;
  else
    SetVisibilityBits(change->page, heap_block, bits);
  return true;
}

// xl_heap_multi_insert: flags, ntuples, then (not with a fresh page) a number for each. The block's
// data: for each, at an even place, xl_multi_insert_tuple (datalen, t_infomask2, t_infomask,
// t_hoff) and its bytes.
bool MultiInsert(Change* change) {
  constexpr size_t kFixedSize = 4, kTupleSize = 2 + kStoredHeaderSize;
  const Bytes main = change->main(), data = change->data();
  uint8_t* page = change->page;
  const bool init = change->info() & kInitPage;
  if (main.size() < kFixedSize) return false;
  const uint32_t tuples = Get16(main.data() + 2);
  if (!init && main.size() < kFixedSize + 2 * size_t{tuples}) return false;
  if (init) InitPage(page, 0);
  if (!HeapHeaderFits(page)) return false;
  size_t at = 0;
  for (uint32_t i = 0; i < tuples; i++) {
    const auto offset = init ? static_cast<uint16_t>(kFirstOffset + i)
                             : Get16(main.data() + kFixedSize + 2 * size_t{i});
    at += at % 2;
    if (at + kTupleSize > data.size()) return false;
    const uint8_t* stored = data.data() + at;
    at += kTupleSize + Get16(stored);
    if (at > data.size()) return false;
    if (!InsertTuple(page, StoredHeader::Read(stored + 2), stored + kTupleSize, Get16(stored),
                     change->xid(), change->block.tag.block, offset))
      return false;
  }
  if (at != data.size()) return false;
  if (main[op::kMultiInsertFlags] & layout::heap::kAllVisibleCleared)
    ClearFlags(page, kPdAllVisible);
  if (main[op::kMultiInsertFlags] & layout::heap::kInsertAllFrozenSet)
    SetFlags(page, kPdAllVisible);
  return true;
}

// xl_heap_lock_updated: xmax, offnum, infobits_set, flags.
bool LockUpdated(Change* change) {
  const Bytes main = change->main();
  Item tuple;
  if (main.size() < 8 || !HeapHeaderFits(change->page) ||
      !FindNormalItem(change->page, Get16(main.data() + 4), kTupleHeaderSize, &tuple))
    return false;
  SetXmaxBits(tuple.data, main[6], false);
  Put32(tuple.data + kXmax, Get32(main.data()));
  return true;
}

Routine FindVisibleRoutine(const RecordView& record, int id) {
  if (!BlockAgrees(record, 0, false) || !BlockAgrees(record, 1, false)) return nullptr;
  const bool is_map = record.block(id)->tag.fork == kVisibilityMapFork;
  if (id == 1) return is_map ? nullptr : VisibleHeapPage;
  return id == 0 && is_map ? VisibleMapPage : nullptr;
}

}  // namespace

Routine FindHeap2Routine(const RecordView& record, int id) {
  const uint8_t operation = record.info() & ~kInitPage;
  if (operation == op::kVisible) return FindVisibleRoutine(record, id);
  if (record.block(id)->tag.fork == kVisibilityMapFork) return nullptr;
  const bool init = operation == op::kMultiInsert && (record.info() & kInitPage);
  if (id != 0 || !BlockAgrees(record, 0, init)) return nullptr;
  // Other versions use the numbers of these operations for other records.
  if (operation <= op::kFreezePage &&
      record.version().heap_cleanup != pg::HeapCleanup::kPruneVacuumFreeze)
    return nullptr;
  switch (operation) {
    case op::kPrune:
      return Prune;
    case op::kVacuum:
      return Vacuum;
    case op::kFreezePage:
      return FreezePage;
    case op::kMultiInsert:
      return MultiInsert;
    case op::kLockUpdated:
      return LockUpdated;
    default:
      return nullptr;
  }
}

}  // namespace neon_redo::native
