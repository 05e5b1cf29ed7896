// What the files of resource manager Heap2 share.
#ifndef NEON_REDO_REDO_NATIVE_HEAP2_H_
#define NEON_REDO_REDO_NATIVE_HEAP2_H_

#include <cstdint>

#include "cpp_core/redo/native/heap.h"

namespace neon_redo::native {

// A line pointer of a heap page, by a number out of a record.
inline bool IsLine(const uint8_t* page, uint16_t number) {
  return number >= 1 && number <= MaxOffset(page);
}

// What a record says of the header of a tuple that is frozen.
struct FreezePlan {
  uint32_t xmax;
  uint16_t infomask2, infomask;
  uint8_t flags;
};

// heap_execute_freeze_tuple. False: there is no such tuple.
inline bool FreezeTuple(uint8_t* page, uint16_t number, const FreezePlan& plan) {
  namespace op = layout::heap2;
  Item tuple;
  if (!FindNormalItem(page, number, kTupleHeaderSize, &tuple)) return false;
  Put32(tuple.data + kXmax, plan.xmax);
  if (plan.flags & op::kFreezeXvac) Put32(tuple.data + kCid, 2);  // FrozenTransactionId
  if (plan.flags & op::kInvalidXvac) Put32(tuple.data + kCid, 0);
  Put16(tuple.data + kInfomask2, plan.infomask2);
  Put16(tuple.data + kInfomask, plan.infomask);
  return true;
}

// Makes dead line pointers unused, by count numbers of two bytes each, and drops unused ones at the
// end (heap_page_prune_execute with lp_truncate_only, heap_xlog_vacuum). The page's header fits.
bool VacuumLines(uint8_t* page, const uint8_t* numbers, uint32_t count);

// Changes line pointers of tuples that are pruned and lays the others out anew
// (heap_page_prune_execute). `redirected` is a number of pairs. The page's header fits.
struct PrunedLines {
  const uint8_t* redirections;
  uint32_t redirected;
  const uint8_t* dead_items;
  uint32_t dead;
  const uint8_t* unused_items;
  uint32_t unused;
};
bool PruneLines(uint8_t* page, const PrunedLines& lines);

// For operations 0x10 to 0x30: of 15, and of 17 and 18. Null for any other operation.
Routine FindPruneVacuumFreezeRoutine(uint8_t operation);
Routine FindPruneFreezeRoutine(uint8_t operation);

}  // namespace neon_redo::native

#endif  // NEON_REDO_REDO_NATIVE_HEAP2_H_
