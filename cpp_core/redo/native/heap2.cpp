// Resource manager Heap2: heap2_redo and heap_xlog_* in access/heap/heapam.c, visibilitymap_set in
// access/heap/visibilitymap.c; the records are in access/heapam_xlog.h. Here is what all versions
// share; the records that prune, freeze and vacuum are in a file for each of their formats.
#include "cpp_core/redo/native/heap2.h"

#include "cpp_core/pg/version.h"
#include "cpp_core/pg/visibility_map.h"

namespace neon_redo::native {

namespace {

namespace op = layout::heap2;
using layout::heap::kInitPage;

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

// Versions use the same numbers of operations for other records.
Routine FindCleanupRoutine(const RecordView& record, uint8_t operation) {
  switch (record.version().heap_cleanup) {
    case pg::HeapCleanup::kPruneVacuumFreeze:
      return FindPruneVacuumFreezeRoutine(operation);
    case pg::HeapCleanup::kPruneVacuumPlans:
    case pg::HeapCleanup::kPruneFreezeMap:
      return nullptr;
    case pg::HeapCleanup::kPruneFreeze:
      return FindPruneFreezeRoutine(operation);
  }
  return nullptr;
}

}  // namespace

bool VacuumLines(uint8_t* page, const uint8_t* numbers, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    const uint16_t number = Get16(numbers + 2 * size_t{i});
    if (!IsLine(page, number) || GetLinePointer(page, number).flags() != kLpDead ||
        GetLinePointer(page, number).length() != 0)
      return false;
    PutLinePointer(page, number, 0, kLpUnused, 0);
  }
  TruncateLinePointers(page);
  return true;
}

bool PruneLines(uint8_t* page, const PrunedLines& lines) {
  const uint8_t* in = lines.redirections;
  for (uint32_t i = 0; i < lines.redirected; i++, in += 4) {
    if (!IsLine(page, Get16(in)) || !IsLine(page, Get16(in + 2))) return false;
    PutLinePointer(page, Get16(in), Get16(in + 2), kLpRedirect, 0);
  }
  in = lines.dead_items;
  for (uint32_t i = 0; i < lines.dead; i++, in += 2) {
    if (!IsLine(page, Get16(in))) return false;
    PutLinePointer(page, Get16(in), 0, kLpDead, 0);
  }
  in = lines.unused_items;
  for (uint32_t i = 0; i < lines.unused; i++, in += 2) {
    if (!IsLine(page, Get16(in))) return false;
    PutLinePointer(page, Get16(in), 0, kLpUnused, 0);
  }
  return RepairFragmentation(page);
}

Routine FindHeap2Routine(const RecordView& record, int id) {
  const uint8_t operation = record.info() & ~kInitPage;
  if (operation == op::kVisible) return FindVisibleRoutine(record, id);
  if (record.block(id)->tag.fork == kVisibilityMapFork) return FindClearMapRoutine(record, id);
  const bool init = operation == op::kMultiInsert && (record.info() & kInitPage);
  if (id != 0 || !BlockAgrees(record, 0, init)) return nullptr;
  if (operation == op::kMultiInsert) return MultiInsert;
  if (operation == op::kLockUpdated) return LockUpdated;
  return FindCleanupRoutine(record, operation);
}

}  // namespace neon_redo::native
