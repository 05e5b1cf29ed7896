// Heap and Heap2 records in the words of PostgreSQL 16 and later. Layouts: access/heapam_xlog.h;
// wording: rmgrdesc/heapdesc.c. The words of 15 are in describe_heap.cpp.
#include "cpp_core/describe/operation.h"
#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/record_layout.h"

namespace neon_redo {

namespace {

struct Flag {
  uint8_t bit;
  const char* name;
};

// "infobits: [LOCK_ONLY, KEYSHR_LOCK]"
void AddFlags(Description* d, const char* label, uint8_t bits, std::span<const Flag> flags) {
  d->Add("{}: [", label);
  const char* separator = "";
  for (const Flag& flag : flags) {
    if (!(bits & flag.bit)) continue;
    d->Add("{}{}", separator, flag.name);
    separator = ", ";
  }
  d->AddText("]");
}

void AddInfobits(Description* d, const char* label, uint8_t bits) {
  static constexpr Flag kInfobits[] = {
      {pg::tuple::kStoredXmaxIsMulti, "IS_MULTI"},
      {pg::tuple::kStoredXmaxLockOnly, "LOCK_ONLY"},
      {pg::tuple::kStoredXmaxExclusiveLock, "EXCL_LOCK"},
      {pg::tuple::kStoredXmaxKeyShareLock, "KEYSHR_LOCK"},
      {pg::tuple::kStoredKeysUpdated, "KEYS_UPDATED"},
  };
  AddFlags(d, label, bits, kInfobits);
}

// The data of block 0; none if the record has only an image of it.
Bytes BlockData(const Description& d) {
  const BlockRef* block = d.record.block(0);
  return block ? block->data : Bytes();
}

// Heap

void Insert16(Description* d) {
  const auto offset = d->in.Get<uint16_t>();
  d->Add("off: {}, flags: 0x{:02X}", offset, d->in.Get<uint8_t>());
}

// xl_heap_delete, xl_heap_lock and xl_heap_lock_updated have the same fields.
void DeleteOrLock16(Description* d) {
  const auto xmax = d->in.Get<uint32_t>();
  const auto offset = d->in.Get<uint16_t>();
  const auto infobits = d->in.Get<uint8_t>();
  d->Add("xmax: {}, off: {}, ", xmax, offset);
  AddInfobits(d, "infobits", infobits);
  d->Add(", flags: 0x{:02X}", d->in.Get<uint8_t>());
}

void Update16(Description* d) {
  const auto old_xmax = d->in.Get<uint32_t>();
  const auto old_offset = d->in.Get<uint16_t>();
  const auto infobits = d->in.Get<uint8_t>();
  const auto flags = d->in.Get<uint8_t>();
  const auto new_xmax = d->in.Get<uint32_t>();
  const auto new_offset = d->in.Get<uint16_t>();
  d->Add("old_xmax: {}, old_off: {}, ", old_xmax, old_offset);
  AddInfobits(d, "old_infobits", infobits);
  d->Add(", flags: 0x{:02X}, new_xmax: {}, new_off: {}", flags, new_xmax, new_offset);
}

void Truncate16(Description* d) {
  static constexpr Flag kFlags[] = {
      {layout::heap::kTruncateCascade, "CASCADE"},
      {layout::heap::kTruncateRestartSequences, "RESTART_SEQS"},
  };
  d->in.Skip(4);  // dbId
  const auto count = d->in.Get<uint32_t>();
  const auto flags = d->in.Get<uint8_t>();
  d->in.AlignTo(4);
  AddFlags(d, "flags", flags, kFlags);
  d->Add(", nrelids: {}, relids: ", count);
  d->AddList(d->in, count, [&] { d->Add("{}", d->in.Get<uint32_t>()); });
}

void OffsetOnly16(Description* d) { d->Add("off: {}", d->in.Get<uint16_t>()); }

void Inplace18(Description* d) {
  OffsetOnly16(d);
  d->in.AlignTo(4);
  const auto database = d->in.Get<uint32_t>();
  const auto tablespace = d->in.Get<uint32_t>();
  const auto init_file = d->in.Get<uint8_t>();
  d->in.AlignTo(4);
  const auto count = d->in.Get<int32_t>();
  if (count < 0) return d->in.Spoil();
  const size_t size = static_cast<size_t>(count) * layout::xact::kInvalidationSize;
  AddInvalidations(d, d->in.GetBytes(size), database, tablespace, init_file);
}

void Inplace16(Description* d) {
  return d->Since(pg::WaldumpText::k18) ? Inplace18(d) : OffsetOnly16(d);
}

// Heap2: pruning and freezing

// xl_heap_freeze_plan, since 17 xlhp_freeze_plan. `offsets` has those of all plans.
void AddPlans(Description* d, size_t count, FieldReader* plans, FieldReader* offsets) {
  d->AddText(", plans: ");
  d->AddList(*plans, count, [&] {
    const auto xmax = plans->Get<uint32_t>();
    const auto infomask2 = plans->Get<uint16_t>();
    const auto infomask = plans->Get<uint16_t>();
    plans->Skip(1);  // frzflags
    plans->AlignTo(2);
    const auto tuples = plans->Get<uint16_t>();
    d->Add("{{ xmax: {}, infomask: {}, infomask2: {}, ntuples: {}, offsets: ", xmax, infomask,
           infomask2, tuples);
    d->AddOffsets(offsets, tuples);
    d->AddText(" }");
  });
}
void AddRedirections(Description* d, size_t count, FieldReader* in) {
  d->AddText(", redirected: ");
  d->AddList(*in, count, [&] {
    const auto from = in->Get<uint16_t>();
    d->Add("{}->{}", from, in->Get<uint16_t>());
  });
}

void Prune16(Description* d) {
  const auto xid = d->in.Get<uint32_t>();
  const auto redirected = d->in.Get<uint16_t>();
  const auto dead = d->in.Get<uint16_t>();
  d->Add("snapshotConflictHorizon: {}, nredirected: {}, ndead: {}, isCatalogRel: {}", xid,
         redirected, dead, TF(d->in.Get<uint8_t>()));
  const Bytes data = BlockData(*d);
  if (data.empty()) return;
  FieldReader in(data);
  const size_t known = size_t{4} * redirected + size_t{2} * dead;
  const size_t unused = data.size() < known ? 0 : (data.size() - known) / 2;
  d->Add(", nunused: {}", unused);
  AddRedirections(d, redirected, &in);
  d->AddText(", dead: ");
  d->AddOffsets(&in, dead);
  d->AddText(", unused: ");
  d->AddOffsets(&in, unused);
  if (!in.all()) d->in.Spoil();
}

void Vacuum16(Description* d) {
  const auto unused = d->in.Get<uint16_t>();
  d->Add("nunused: {}", unused);
  const Bytes data = BlockData(*d);
  if (data.empty()) return;
  FieldReader in(data);
  d->AddText(", unused: ");
  d->AddOffsets(&in, unused);
  if (!in.all()) d->in.Spoil();
}

void FreezePage16(Description* d) {
  const auto xid = d->in.Get<uint32_t>();
  const auto count = d->in.Get<uint16_t>();
  d->Add("snapshotConflictHorizon: {}, nplans: {}, isCatalogRel: {}", xid, count,
         TF(d->in.Get<uint8_t>()));
  const Bytes data = BlockData(*d);
  if (data.empty()) return;
  FieldReader offsets(data);
  FieldReader plans(offsets.GetBytes(count * layout::heap2::kFreezePlanSize));
  AddPlans(d, count, &plans, &offsets);
  if (!plans.all() || !offsets.all()) d->in.Spoil();
}

// A part of the data of a record that prunes and freezes. Not there: no items.
struct Items {
  size_t count;
  FieldReader in;
};

// xlhp_prune_items, or with plans xlhp_freeze_plans
Items GetItems(FieldReader* in, bool is_there, size_t size) {
  if (!is_there) return {0, FieldReader({})};
  const auto count = in->Get<uint16_t>();
  if (size == layout::heap2::kFreezePlanSize) in->AlignTo(4);
  const Bytes items = in->GetBytes(count * size);
  return {in->all() ? count : size_t{0}, FieldReader(items)};
}

// Bits of the visibility map that a record sets on a page that it makes all-visible.
void AddMapBits19(Description* d, bool all_frozen) {
  d->Add(", vm_flags: 0x{:02X}", all_frozen ? 3 : 1);
}

// Also PRUNE_VACUUM_SCAN and PRUNE_VACUUM_CLEANUP.
void PruneFreeze17(Description* d) {
  namespace op = layout::heap2;
  constexpr uint16_t kAllVisible19 = 1 << 8;  // XLHP_VM_*
  constexpr uint16_t kAllFrozen19 = 1 << 9;
  const bool has_reason = !d->Since(pg::WaldumpText::k19);
  if (has_reason) d->in.Skip(1);
  const uint16_t flags = has_reason ? d->in.Get<uint8_t>() : d->in.Get<uint16_t>();
  if (flags & op::kPruneHasHorizon) d->Add("snapshotConflictHorizon: {}", d->in.Get<uint32_t>());
  d->Add(", isCatalogRel: {}", TF(flags & op::kPruneIsCatalog));
  if (flags & kAllVisible19) AddMapBits19(d, flags & kAllFrozen19);
  const Bytes data = BlockData(*d);
  if (data.empty()) return;
  FieldReader in(data);
  Items plans = GetItems(&in, flags & op::kPruneHasFreezePlans, op::kFreezePlanSize);
  Items redirected = GetItems(&in, flags & op::kPruneHasRedirections, 4);
  Items dead = GetItems(&in, flags & op::kPruneHasDeadItems, 2);
  Items unused = GetItems(&in, flags & op::kPruneHasUnusedItems, 2);
  d->Add(", nplans: {}, nredirected: {}, ndead: {}, nunused: {}", plans.count, redirected.count,
         dead.count, unused.count);
  if (plans.count > 0) AddPlans(d, plans.count, &plans.in, &in);
  if (redirected.count > 0) AddRedirections(d, redirected.count, &redirected.in);
  if (dead.count > 0) {
    d->AddText(", dead: ");
    d->AddOffsets(&dead.in, dead.count);
  }
  if (unused.count > 0) {
    d->AddText(", unused: ");
    d->AddOffsets(&unused.in, unused.count);
  }
  if (!in.all()) d->in.Spoil();
}

// Heap2: the others

void Visible16(Description* d) {
  const auto xid = d->in.Get<uint32_t>();
  d->Add("snapshotConflictHorizon: {}, flags: 0x{:02X}", xid, d->in.Get<uint8_t>());
}

void MultiInsert16(Description* d) {
  const auto flags = d->in.Get<uint8_t>();
  d->in.AlignTo(2);
  const auto tuples = d->in.Get<uint16_t>();
  d->Add("ntuples: {}, flags: 0x{:02X}", tuples, flags);
  if (d->Since(pg::WaldumpText::k19) && (flags & layout::heap::kInsertAllFrozenSet))
    AddMapBits19(d, true);
  // A new page has them in order, and the record has none.
  if (BlockData(*d).empty() || (d->record.header().info & layout::heap::kInitPage)) return;
  d->AddText(", offsets: ");
  d->AddOffsets(&d->in, tuples);
}

void NewCid16(Description* d) {
  d->in.Skip(4);  // top_xid
  const auto cmin = d->in.Get<uint32_t>();
  const auto cmax = d->in.Get<uint32_t>();
  const auto combo = d->in.Get<uint32_t>();
  const auto rel = d->in.Get<RelFileNode>();
  const auto block = d->in.GetBlockId();
  const auto offset = d->in.Get<uint16_t>();
  d->Add("rel: {}, tid: {}/{}, cmin: {}, cmax: {}, combo: {}", RelName(rel), block, offset, cmin,
         cmax, combo);
}

constexpr Operation kHeap16[] = {
    {layout::heap::kInsert, "INSERT", Insert16},
    {layout::heap::kInsert | layout::heap::kInitPage, "INSERT+INIT", Insert16},
    {layout::heap::kDelete, "DELETE", DeleteOrLock16},
    {layout::heap::kUpdate, "UPDATE", Update16},
    {layout::heap::kUpdate | layout::heap::kInitPage, "UPDATE+INIT", Update16},
    {layout::heap::kTruncate, "TRUNCATE", Truncate16},
    {layout::heap::kHotUpdate, "HOT_UPDATE", Update16},
    {layout::heap::kHotUpdate | layout::heap::kInitPage, "HOT_UPDATE+INIT", Update16},
    {layout::heap::kConfirm, "HEAP_CONFIRM", OffsetOnly16},
    {layout::heap::kLock, "LOCK", DeleteOrLock16},
    {layout::heap::kInplace, "INPLACE", Inplace16},
};

constexpr Operation kHeap2_16[] = {
    {layout::heap2::kRewrite, "REWRITE"},
    {layout::heap2::kPrune, "PRUNE", Prune16},
    {layout::heap2::kVacuum, "VACUUM", Vacuum16},
    {layout::heap2::kFreezePage, "FREEZE_PAGE", FreezePage16},
    {layout::heap2::kVisible, "VISIBLE", Visible16},
    {layout::heap2::kMultiInsert, "MULTI_INSERT", MultiInsert16},
    {layout::heap2::kMultiInsert | layout::heap::kInitPage, "MULTI_INSERT+INIT", MultiInsert16},
    {layout::heap2::kLockUpdated, "LOCK_UPDATED", DeleteOrLock16},
    {layout::heap2::kNewCid, "NEW_CID", NewCid16},
};

constexpr Operation kHeap2_17[] = {
    {layout::heap2::kRewrite, "REWRITE"},
    {layout::heap2::kPruneOnAccess, "PRUNE_ON_ACCESS", PruneFreeze17},
    {layout::heap2::kPruneVacuumScan, "PRUNE_VACUUM_SCAN", PruneFreeze17},
    {layout::heap2::kPruneVacuumCleanup, "PRUNE_VACUUM_CLEANUP", PruneFreeze17},
    {layout::heap2::kVisible, "VISIBLE", Visible16},
    {layout::heap2::kMultiInsert, "MULTI_INSERT", MultiInsert16},
    {layout::heap2::kMultiInsert | layout::heap::kInitPage, "MULTI_INSERT+INIT", MultiInsert16},
    {layout::heap2::kLockUpdated, "LOCK_UPDATED", DeleteOrLock16},
    {layout::heap2::kNewCid, "NEW_CID", NewCid16},
};

}  // namespace

Operations HeapOperations16() { return {kInfoRmgrMask, kHeap16}; }
Operations Heap2Operations16() { return {kInfoRmgrMask, kHeap2_16}; }
Operations Heap2Operations17() { return {kInfoRmgrMask, kHeap2_17}; }

}  // namespace neon_redo
