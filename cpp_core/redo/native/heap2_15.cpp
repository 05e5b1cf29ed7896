// Heap2's records that prune, vacuum and freeze, of PostgreSQL 15: heap_xlog_prune, _vacuum and
// _freeze_page in access/heap/heapam.c, heap_page_prune_execute in access/heap/pruneheap.c.
#include "cpp_core/redo/native/heap2.h"

namespace neon_redo::native {

namespace {

namespace op = layout::heap2;

// xl_heap_prune: latestRemovedXid, nredirected, ndead. The block's data: pairs of numbers to
// redirect, numbers now dead, numbers now unused (heap_page_prune_execute).
bool Prune(Change* change) {
  const Bytes main = change->main(), data = change->data();
  if (main.size() < 8 || !HeapHeaderFits(change->page)) return false;
  const uint32_t redirected = Get16(main.data() + op::kPruneRedirected);
  const uint32_t dead = Get16(main.data() + op::kPruneRedirected + 2);
  const size_t all = data.size() / 2, unused_at = size_t{redirected} * 2 + dead;
  if (data.size() % 2 != 0 || unused_at > all) return false;
  const uint8_t* in = data.data();
  return PruneLines(change->page, {in, redirected, in + 4 * size_t{redirected}, dead,
                                   in + 2 * unused_at, static_cast<uint32_t>(all - unused_at)});
}

// xl_heap_vacuum: nunused. The block's data: their numbers; all are dead.
bool Vacuum(Change* change) {
  const Bytes main = change->main(), data = change->data();
  if (main.size() < 2 || !HeapHeaderFits(change->page)) return false;
  const uint32_t unused = Get16(main.data());
  if (unused == 0 || data.size() < 2 * size_t{unused}) return false;
  return VacuumLines(change->page, data.data(), unused);
}

// xl_heap_freeze_page: cutoff_xid, ntuples. The block's data: that many xl_heap_freeze_tuple
// (xmax, offset, t_infomask2, t_infomask, frzflags; 12 bytes with padding).
bool FreezePage(Change* change) {
  constexpr size_t kPlanSize = 12;
  const Bytes main = change->main(), data = change->data();
  if (main.size() < 6 || !HeapHeaderFits(change->page)) return false;
  const uint32_t tuples = Get16(main.data() + 4);
  if (data.size() < tuples * kPlanSize) return false;
  for (uint32_t i = 0; i < tuples; i++) {
    const uint8_t* plan = data.data() + i * kPlanSize;
    if (!FreezeTuple(change->page, Get16(plan + 4),
                     {Get32(plan), Get16(plan + 6), Get16(plan + 8), plan[10]}))
      return false;
  }
  return true;
}

}  // namespace

Routine FindPruneVacuumFreezeRoutine(uint8_t operation) {
  switch (operation) {
    case op::kPrune:
      return Prune;
    case op::kVacuum:
      return Vacuum;
    case op::kFreezePage:
      return FreezePage;
    default:
      return nullptr;
  }
}

}  // namespace neon_redo::native
