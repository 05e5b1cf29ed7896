// Heap and Heap2 records. Layouts: access/heapam_xlog.h; wording: rmgrdesc/heapdesc.c.
#include "cpp_core/describe/operation.h"

namespace neon_redo {

namespace {

void AddInfobits(Description* d, uint8_t bits) {
  // XLHL_*
  if (bits & 0x01) d->AddText("IS_MULTI ");
  if (bits & 0x02) d->AddText("LOCK_ONLY ");
  if (bits & 0x04) d->AddText("EXCL_LOCK ");
  if (bits & 0x08) d->AddText("KEYSHR_LOCK ");
  if (bits & 0x10) d->AddText("KEYS_UPDATED ");
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
  if (flags & 0x01) d->AddText("cascade ");       // XLH_TRUNCATE_CASCADE
  if (flags & 0x02) d->AddText("restart_seqs ");  // XLH_TRUNCATE_RESTART_SEQS
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
    {0x00, "INSERT", Insert},           {0x80, "INSERT+INIT", Insert},
    {0x10, "DELETE", Delete},           {0x20, "UPDATE", Update},
    {0xa0, "UPDATE+INIT", Update},      {0x30, "TRUNCATE", Truncate},
    {0x40, "HOT_UPDATE", Update},       {0xc0, "HOT_UPDATE+INIT", Update},
    {0x50, "HEAP_CONFIRM", OffsetOnly}, {0x60, "LOCK", Lock},
    {0x70, "INPLACE", OffsetOnly},
};

constexpr Operation kHeap2[] = {
    {0x00, "REWRITE"},
    {0x10, "PRUNE", Prune},
    {0x20, "VACUUM", Vacuum},
    {0x30, "FREEZE_PAGE", FreezePage},
    {0x40, "VISIBLE", Visible},
    {0x50, "MULTI_INSERT", MultiInsert},
    {0xd0, "MULTI_INSERT+INIT", MultiInsert},
    {0x60, "LOCK_UPDATED", LockUpdated},
    {0x70, "NEW_CID", NewCid},
};

}  // namespace

Operations HeapOperations() { return {kInfoRmgrMask, kHeap}; }
Operations Heap2Operations() { return {kInfoRmgrMask, kHeap2}; }

}  // namespace neon_redo
