// Heap and Heap2 records in the words of PostgreSQL 15. Layouts: access/heapam_xlog.h; wording:
// rmgrdesc/heapdesc.c.
#include "cpp_core/describe/operation.h"
#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/record_layout.h"

namespace neon_redo {

namespace {

void AddInfobits(Description* d, uint8_t bits) {
  namespace t = pg::tuple;
  if (bits & t::kStoredXmaxIsMulti) d->AddText("IS_MULTI ");
  if (bits & t::kStoredXmaxLockOnly) d->AddText("LOCK_ONLY ");
  if (bits & t::kStoredXmaxExclusiveLock) d->AddText("EXCL_LOCK ");
  if (bits & t::kStoredXmaxKeyShareLock) d->AddText("KEYSHR_LOCK ");
  if (bits & t::kStoredKeysUpdated) d->AddText("KEYS_UPDATED ");
}

void Insert(Description* d) {
  const auto offset = d->in.Get<uint16_t>();
  const auto flags = d->in.Get<uint8_t>();
  d->Add("off {} flags 0x{:02X}", offset, flags);
}

void Delete(Description* d) {
  d->in.Skip(4);  // xmax
  const auto offset = d->in.Get<uint16_t>();
  const auto infobits = d->in.Get<uint8_t>();
  const auto flags = d->in.Get<uint8_t>();
  d->Add("off {} flags 0x{:02X} ", offset, flags);
  AddInfobits(d, infobits);
}

void Update(Description* d) {
  const auto old_xmax = d->in.Get<uint32_t>();
  const auto old_offset = d->in.Get<uint16_t>();
  const auto infobits = d->in.Get<uint8_t>();
  const auto flags = d->in.Get<uint8_t>();
  const auto new_xmax = d->in.Get<uint32_t>();
  const auto new_offset = d->in.Get<uint16_t>();
  d->Add("off {} xmax {} flags 0x{:02X} ", old_offset, old_xmax, flags);
  AddInfobits(d, infobits);
  d->Add("; new off {} xmax {}", new_offset, new_xmax);
}

void Truncate(Description* d) {
  d->in.Skip(4);  // dbId
  const auto count = d->in.Get<uint32_t>();
  const auto flags = d->in.Get<uint8_t>();
  d->in.AlignTo(4);
  if (flags & layout::heap::kTruncateCascade) d->AddText("cascade ");
  if (flags & layout::heap::kTruncateRestartSequences) d->AddText("restart_seqs ");
  d->Add("nrelids {} relids", count);
  for (uint32_t i = 0; i < count; i++) {
    const auto relid = d->in.Get<uint32_t>();
    if (!d->in.all()) break;
    d->Add(" {}", relid);
  }
}

void OffsetOnly(Description* d) { d->Add("off {}", d->in.Get<uint16_t>()); }

void Lock(Description* d) {
  const auto xid = d->in.Get<uint32_t>();
  const auto offset = d->in.Get<uint16_t>();
  const auto infobits = d->in.Get<uint8_t>();
  const auto flags = d->in.Get<uint8_t>();
  d->Add("off {}: xid {}: flags 0x{:02X} ", offset, xid, flags);
  AddInfobits(d, infobits);
}

void LockUpdated(Description* d) {
  const auto xmax = d->in.Get<uint32_t>();
  const auto offset = d->in.Get<uint16_t>();
  const auto infobits = d->in.Get<uint8_t>();
  const auto flags = d->in.Get<uint8_t>();
  d->Add("off {}: xmax {}: flags 0x{:02X} ", offset, xmax, flags);
  AddInfobits(d, infobits);
}

void Prune(Description* d) {
  const auto xid = d->in.Get<uint32_t>();
  const auto redirected = d->in.Get<uint16_t>();
  const auto dead = d->in.Get<uint16_t>();
  d->Add("latestRemovedXid {} nredirected {} ndead {}", xid, redirected, dead);
}

void Vacuum(Description* d) { d->Add("nunused {}", d->in.Get<uint16_t>()); }

void FreezePage(Description* d) {
  const auto xid = d->in.Get<uint32_t>();
  d->Add("cutoff xid {} ntuples {}", xid, d->in.Get<uint16_t>());
}

void Visible(Description* d) {
  const auto xid = d->in.Get<uint32_t>();
  d->Add("cutoff xid {} flags 0x{:02X}", xid, d->in.Get<uint8_t>());
}

void MultiInsert(Description* d) {
  const auto flags = d->in.Get<uint8_t>();
  d->in.AlignTo(2);
  d->Add("{} tuples flags 0x{:02X}", d->in.Get<uint16_t>(), flags);
}

void NewCid(Description* d) {
  d->in.Skip(4);  // top_xid
  const auto cmin = d->in.Get<uint32_t>();
  const auto cmax = d->in.Get<uint32_t>();
  const auto combo = d->in.Get<uint32_t>();
  const auto rel = d->in.Get<RelFileNode>();
  const auto block = d->in.GetBlockId();
  const auto offset = d->in.Get<uint16_t>();
  d->Add("rel {}; tid {}/{}", RelName(rel), block, offset);
  d->Add("; cmin: {}, cmax: {}, combo: {}", cmin, cmax, combo);
}

constexpr Operation kHeap[] = {
    {layout::heap::kInsert, "INSERT", Insert},
    {layout::heap::kInsert | layout::heap::kInitPage, "INSERT+INIT", Insert},
    {layout::heap::kDelete, "DELETE", Delete},
    {layout::heap::kUpdate, "UPDATE", Update},
    {layout::heap::kUpdate | layout::heap::kInitPage, "UPDATE+INIT", Update},
    {layout::heap::kTruncate, "TRUNCATE", Truncate},
    {layout::heap::kHotUpdate, "HOT_UPDATE", Update},
    {layout::heap::kHotUpdate | layout::heap::kInitPage, "HOT_UPDATE+INIT", Update},
    {layout::heap::kConfirm, "HEAP_CONFIRM", OffsetOnly},
    {layout::heap::kLock, "LOCK", Lock},
    {layout::heap::kInplace, "INPLACE", OffsetOnly},
};

constexpr Operation kHeap2[] = {
    {layout::heap2::kRewrite, "REWRITE"},
    {layout::heap2::kPrune, "PRUNE", Prune},
    {layout::heap2::kVacuum, "VACUUM", Vacuum},
    {layout::heap2::kFreezePage, "FREEZE_PAGE", FreezePage},
    {layout::heap2::kVisible, "VISIBLE", Visible},
    {layout::heap2::kMultiInsert, "MULTI_INSERT", MultiInsert},
    {layout::heap2::kMultiInsert | layout::heap::kInitPage, "MULTI_INSERT+INIT", MultiInsert},
    {layout::heap2::kLockUpdated, "LOCK_UPDATED", LockUpdated},
    {layout::heap2::kNewCid, "NEW_CID", NewCid},
};

}  // namespace

Operations HeapOperations15() { return {kInfoRmgrMask, kHeap}; }
Operations Heap2Operations15() { return {kInfoRmgrMask, kHeap2}; }

}  // namespace neon_redo
