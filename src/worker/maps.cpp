// Which pages redo reads is in the functions heap_xlog_* (access/heap/heapam_xlog.c of 18):
//  - the visibility map page of a block whose bits the record's flags clear, if the record does not
//    name that page, and of the block that XLOG_HEAP2_VISIBLE makes all-visible; in 19 the page that
//    prune and multi-insert records name to set bits, too (all of them with RBM_ZERO_ON_ERROR)
//  - the free space map page of a block that becomes nearly full, or that is pruned or all-visible.
// Each takes a hash search and a lock, so a page is placed only if it may be needed.
#include "src/worker/maps.h"

#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/visibility_map.h"
#include "src/worker/pages.h"

extern "C" {
#include "access/heapam_xlog.h"
#include "access/htup_details.h"
#include "storage/fsm_internals.h"
}

namespace neon_redo {

namespace {

// As fsm_logical_to_physical (storage/freespace/freespace.c) for a leaf.
::BlockNumber SpaceMapPageOf(::BlockNumber heap_block) {
  constexpr int kDepth = SlotsPerFSMPage >= 1626 ? 3 : 4;  // FSM_TREE_DEPTH
  ::BlockNumber leaf = heap_block / SlotsPerFSMPage;
  ::BlockNumber pages = 0;
  for (int level = 0; level < kDepth; level++) {
    pages += leaf + 1;
    leaf /= SlotsPerFSMPage;
  }
  return pages - 1;
}

// The byte of the main data at this offset; 0xff, which has all flags, if there is none.
uint8_t FlagsAt(const DecodedXLogRecord& record, size_t offset) {
  return offset < record.main_data_len ? static_cast<uint8_t>(record.main_data[offset]) : 0xff;
}

// Whether less than a fifth of the page may be free after tuples were added to it. data: bytes that
// the record has for them.
bool MayGetFull(size_t data, int tuples) {
  const auto* header = reinterpret_cast<const PageHeaderData*>(TargetPage());
  const int room = header->pd_upper - header->pd_lower;
  const int lines = (header->pd_lower - static_cast<int>(SizeOfPageHeaderData)) /
                    static_cast<int>(sizeof(ItemIdData));
  // A tuple has 27 bytes more on the page than in the record, and a line pointer.
  return room < static_cast<int>(BLCKSZ / 5 + data) + 36 * (tuples + 1) ||
         lines + tuples >= static_cast<int>(MaxHeapTuplesPerPage);
}

bool HasBlock(const DecodedXLogRecord& record, int id) {
  return id <= record.max_block_id && record.blocks[id].in_use;
}

struct Needs {
  bool visibility_map;
  bool space_map;
};

// A page that the record initialises is made whatever the target is.
bool InitialisesPage(const DecodedXLogRecord& record) {
  return (record.header.xl_info & XLOG_HEAP_INIT_PAGE) != 0;
}

Needs NeedsOfHeap(const DecodedXLogRecord& record, uint8_t operation, bool target_is_heap) {
  switch (operation) {
    case layout::heap::kInsert: {
      const uint8_t flags = FlagsAt(record, offsetof(xl_heap_insert, flags));
      return {
          (flags & XLH_INSERT_ALL_VISIBLE_CLEARED) != 0,
          InitialisesPage(record) || (target_is_heap && MayGetFull(record.blocks[0].data_len, 1))};
    }
    case layout::heap::kDelete:
      return {
          (FlagsAt(record, offsetof(xl_heap_delete, flags)) & XLH_DELETE_ALL_VISIBLE_CLEARED) != 0,
          false};
    case layout::heap::kUpdate:
    case layout::heap::kHotUpdate:
      return {(FlagsAt(record, offsetof(xl_heap_update, flags)) &
               (XLH_UPDATE_OLD_ALL_VISIBLE_CLEARED | XLH_UPDATE_NEW_ALL_VISIBLE_CLEARED)) != 0,
              operation == layout::heap::kUpdate && (target_is_heap || InitialisesPage(record))};
    case layout::heap::kLock:
      return {(FlagsAt(record, offsetof(xl_heap_lock, flags)) & XLH_LOCK_ALL_FROZEN_CLEARED) != 0,
              false};
    default:
      return {};
  }
}

Needs NeedsOfHeap2(const DecodedXLogRecord& record, uint8_t operation, bool target_is_heap) {
  switch (operation) {
    case layout::heap2::kPruneOnAccess:
    case layout::heap2::kPruneVacuumScan:
    case layout::heap2::kPruneVacuumCleanup:
      return {HasBlock(record, 1), true};
    case layout::heap2::kVisible:
      return {true, true};
    case layout::heap2::kMultiInsert: {
      const uint8_t flags = FlagsAt(record, offsetof(xl_heap_multi_insert, flags));
      uint16_t tuples = MaxHeapTuplesPerPage;
      if (record.main_data_len >= SizeOfHeapMultiInsert)
        memcpy(&tuples, record.main_data + offsetof(xl_heap_multi_insert, ntuples), sizeof(tuples));
      return {(flags & (XLH_INSERT_ALL_VISIBLE_CLEARED | XLH_INSERT_ALL_FROZEN_SET)) != 0,
              InitialisesPage(record) ||
                  (target_is_heap && MayGetFull(record.blocks[0].data_len, tuples))};
    }
    case layout::heap2::kLockUpdated:
      return {(FlagsAt(record, offsetof(xl_heap_lock_updated, flags)) &
               XLH_LOCK_ALL_FROZEN_CLEARED) != 0,
              false};
    default:
      return {};
  }
}

void PlaceMapsOf(const ServerRelation& rel, ::BlockNumber block, Needs needs) {
  if (needs.visibility_map) PlaceZeroes(rel, VISIBILITYMAP_FORKNUM, MapPageOf(block));
  if (needs.space_map) PlaceZeroes(rel, FSM_FORKNUM, SpaceMapPageOf(block));
}

}  // namespace

void PlaceMaps(DecodedXLogRecord* record, int target_id, bool target_in_pool) {
  const uint8_t operation = record->header.xl_info & XLOG_HEAP_OPMASK;
  Needs needs = {};
  if (record->header.xl_rmid == RM_HEAP_ID)
    needs = NeedsOfHeap(*record, operation, target_id == 0);
  else if (record->header.xl_rmid == RM_HEAP2_ID)
    needs = NeedsOfHeap2(*record, operation, target_id == 0);
  if (!needs.visibility_map && !needs.space_map) return;

  if (record->header.xl_rmid == RM_HEAP2_ID && operation == layout::heap2::kVisible) {
    // Block 0 is the map's page, which this record alone reads with RBM_ZERO_ON_ERROR; 1 the heap's.
    DecodedBkpBlock* map = &record->blocks[0];
    if (HasBlock(*record, 0) && !(target_id == 0 && target_in_pool))
      PlaceZeroes(RelationOf(map), map->forknum, map->blkno);
    if (HasBlock(*record, 1))
      PlaceMapsOf(RelationOf(&record->blocks[1]), record->blocks[1].blkno, needs);
    return;
  }
  // Block 0 is the heap's; so is block 1 of an update that moves the tuple to another page. Redo takes
  // the relation from block 0.
  if (!HasBlock(*record, 0)) return;
  PlaceMapsOf(RelationOf(&record->blocks[0]), record->blocks[0].blkno, needs);
  if (needs.visibility_map && HasBlock(*record, 1) && record->blocks[1].forknum == MAIN_FORKNUM)
    PlaceZeroes(RelationOf(&record->blocks[0]), VISIBILITYMAP_FORKNUM,
                MapPageOf(record->blocks[1].blkno));
}

}  // namespace neon_redo
