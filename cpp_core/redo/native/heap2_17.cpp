// Heap2's one record that prunes, vacuums and freezes, of PostgreSQL 17 and 18:
// heap_xlog_prune_freeze in access/heap/heapam_xlog.c (heapam.c in 17), heap_page_prune_execute in
// access/heap/pruneheap.c, heap_xlog_deserialize_prune_and_freeze in rmgrdesc/heapdesc.c. Its three
// operations say who wrote it and are redone alike.
#include "cpp_core/redo/native/heap2.h"

namespace neon_redo::native {

namespace {

namespace op = layout::heap2;

// The parts of the block's data that the record's flags name.
struct Parts {
  const uint8_t* plans = nullptr;
  uint32_t plan_count = 0;
  PrunedLines lines{};
  Bytes frozen;  // the numbers of the plans' tuples
};

// A part: how many entries, then those.
bool ReadItems(ByteReader* in, size_t size, const uint8_t** items, uint32_t* count) {
  uint16_t n;
  Bytes bytes;
  if (!in->Read(&n) || !in->ReadBytes(size * n, &bytes)) return false;
  *items = bytes.data();
  *count = n;
  return true;
}

bool ReadPlans(ByteReader* in, Parts* parts) {
  uint16_t n;
  Bytes bytes;
  if (!in->Read(&n) || !in->Skip(op::kFreezePlansAt - sizeof(n)) ||
      !in->ReadBytes(op::kFreezePlanSize * n, &bytes))
    return false;
  parts->plans = bytes.data();
  parts->plan_count = n;
  return true;
}

bool ReadParts(Bytes data, uint8_t flags, Parts* parts) {
  constexpr size_t kNumber = sizeof(uint16_t);
  PrunedLines* lines = &parts->lines;
  ByteReader in(data);
  if ((flags & op::kPruneHasFreezePlans) && !ReadPlans(&in, parts)) return false;
  if ((flags & op::kPruneHasRedirections) &&
      !ReadItems(&in, 2 * kNumber, &lines->redirections, &lines->redirected))
    return false;
  if ((flags & op::kPruneHasDeadItems) &&
      !ReadItems(&in, kNumber, &lines->dead_items, &lines->dead))
    return false;
  if ((flags & op::kPruneHasUnusedItems) &&
      !ReadItems(&in, kNumber, &lines->unused_items, &lines->unused))
    return false;
  return in.ReadBytes(in.remaining(), &parts->frozen);
}

bool Freeze(uint8_t* page, const Parts& parts) {
  const uint8_t* number = parts.frozen.data();
  const uint8_t* const end = number + parts.frozen.size();
  for (uint32_t i = 0; i < parts.plan_count; i++) {
    const uint8_t* p = parts.plans + i * op::kFreezePlanSize;
    const FreezePlan plan{Get32(p), Get16(p + op::kFreezePlanInfomask2),
                          Get16(p + op::kFreezePlanInfomask), p[op::kFreezePlanFlags]};
    const uint32_t tuples = Get16(p + op::kFreezePlanTuples);
    if (static_cast<size_t>(end - number) < 2 * size_t{tuples}) return false;
    for (uint32_t n = 0; n < tuples; n++, number += 2) {
      if (!FreezeTuple(page, Get16(number), plan)) return false;
    }
  }
  return number == end;
}

// xl_heap_prune: reason, flags. Without the lock for cleanup the line pointers are dead ones that
// VACUUM makes unused, and no tuple moves.
bool PruneFreeze(Change* change) {
  const Bytes main = change->main();
  uint8_t* page = change->page;
  if (main.size() < op::kPruneSize || !HeapHeaderFits(page)) return false;
  const uint8_t flags = main[op::kPruneFlags];
  Parts parts;
  if (((flags & op::kPruneHasHorizon) && main.size() < op::kPruneSize + sizeof(uint32_t)) ||
      !ReadParts(change->data(), flags, &parts))
    return false;
  const PrunedLines& lines = parts.lines;
  if (lines.redirected + lines.dead + lines.unused > 0) {
    const bool vacuums = !(flags & op::kPruneCleanupLock);
    if (vacuums && lines.redirected + lines.dead > 0) return false;
    if (!(vacuums ? VacuumLines(page, lines.unused_items, lines.unused) : PruneLines(page, lines)))
      return false;
  }
  return Freeze(page, parts);
}

}  // namespace

Routine FindPruneFreezeRoutine(uint8_t operation) {
  return operation == op::kPruneOnAccess || operation == op::kPruneVacuumScan ||
                 operation == op::kPruneVacuumCleanup
             ? PruneFreeze
             : nullptr;
}

}  // namespace neon_redo::native
