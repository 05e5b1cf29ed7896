// Resource manager Heap: heap_redo and heap_xlog_* in access/heap/heapam.c; the records are in
// access/heapam_xlog.h. For the visibility map's page, in which some of these records clear bits,
// see clear_map.cpp.
#include "cpp_core/redo/native/heap.h"

#include "cpp_core/pg/xid.h"

namespace neon_redo::native {

namespace {

namespace op = layout::heap;

// PageSetPrunable: the older of the two transactions stays (TransactionIdPrecedes).
void SetPrunable(uint8_t* page, uint32_t xid) {
  const uint32_t old = PruneXid(page);
  if (old == 0 || XidPrecedes(xid, old)) SetPruneXid(page, xid);
}

bool FindTuple(Change* change, uint16_t offset, Item* tuple) {
  return HeapHeaderFits(change->page) &&
         FindNormalItem(change->page, offset, kTupleHeaderSize, tuple);
}

// xl_heap_insert: offnum, flags.
bool Insert(Change* change) {
  const Bytes main = change->main(), data = change->data();
  if (main.size() < op::kInsertSize || data.size() <= kStoredHeaderSize) return false;
  const uint16_t offset = Get16(main.data() + op::kInsertLine);
  if (change->info() & op::kInitPage) InitPage(change->page, 0);
  if (!HeapHeaderFits(change->page)) return false;
  if (!InsertTuple(change->page, StoredHeader::Read(data.data()), data.data() + kStoredHeaderSize,
                   static_cast<uint32_t>(data.size() - kStoredHeaderSize), change->xid(),
                   change->block.tag.block, offset))
    return false;
  if (main[op::kInsertFlags] & op::kAllVisibleCleared) ClearFlags(change->page, kPdAllVisible);
  return true;
}

// xl_heap_delete: xmax, offnum, infobits_set, flags.
bool Delete(Change* change) {
  const Bytes main = change->main();
  if (main.size() < op::kDeleteSize) return false;
  const uint16_t offset = Get16(main.data() + op::kDeleteLine);
  const uint8_t flags = main[op::kDeleteFlags];
  Item tuple;
  if (!FindTuple(change, offset, &tuple)) return false;
  SetXmaxBits(tuple.data, main[6], true);
  if (flags & op::kDeleteSuper)
    Put32(tuple.data + kXmin, 0);
  else
    Put32(tuple.data + kXmax, Get32(main.data()));
  ClearCmax(tuple.data);
  SetPrunable(change->page, change->xid());
  if (flags & op::kAllVisibleCleared) ClearFlags(change->page, kPdAllVisible);
  if (flags & op::kDeletePartitionMove)
    PutItemPointer(tuple.data + kCtid, kInvalidBlock, kMovedPartitions);
  else
    PutItemPointer(tuple.data + kCtid, change->block.tag.block, offset);
  return true;
}

// xl_heap_update
struct UpdateRecord {
  explicit UpdateRecord(const uint8_t* p)
      : old_xmax(Get32(p)),
        old_offset(Get16(p + op::kUpdateOldLine)),
        old_infobits(p[6]),
        flags(p[op::kUpdateFlags]),
        new_xmax(Get32(p + 8)),
        new_offset(Get16(p + op::kUpdateNewLine)) {}

  uint32_t old_xmax;
  uint16_t old_offset;
  uint8_t old_infobits, flags;
  uint32_t new_xmax;
  uint16_t new_offset;
};

// The old tuple gets its xmax and points to the new one, on page new_block.
bool UpdateOldTuple(Change* change, const UpdateRecord& update, uint32_t new_block, Item* old) {
  if (!FindTuple(change, update.old_offset, old)) return false;
  SetXmaxBits(old->data, update.old_infobits, true);
  if ((change->info() & ~op::kInitPage) == op::kHotUpdate)
    Put16(old->data + kInfomask2, Get16(old->data + kInfomask2) | kHotUpdated);
  Put32(old->data + kXmax, update.old_xmax);
  ClearCmax(old->data);
  PutItemPointer(old->data + kCtid, new_block, update.new_offset);
  SetPrunable(change->page, change->xid());
  if (update.flags & op::kOldAllVisibleCleared) ClearFlags(change->page, kPdAllVisible);
  return true;
}

// The new tuple: header; bitmap and padding; prefix of the old tuple's data; the record's data;
// suffix of the old tuple. old is null when the tuples are on different pages.
bool AddNewTuple(Change* change, const UpdateRecord& update, const Item* old) {
  const Bytes data = change->data();
  const uint8_t* in = data.data();
  const uint8_t* end = in + data.size();
  uint32_t prefix = 0, suffix = 0;
  const bool has_prefix = update.flags & op::kPrefixFromOld;
  const bool has_suffix = update.flags & op::kSuffixFromOld;
  if (data.size() < kStoredHeaderSize + 2 * (size_t{has_prefix} + has_suffix)) return false;
  if (has_prefix) prefix = Get16(in), in += 2;
  if (has_suffix) suffix = Get16(in), in += 2;
  const StoredHeader stored = StoredHeader::Read(in);
  in += kStoredHeaderSize;
  auto left = static_cast<uint32_t>(end - in);

  const uint32_t length = kTupleHeaderSize + left + prefix + suffix;
  if (length > kMaxTupleSize) return false;
  if (prefix + suffix > 0) {
    if (old == nullptr || suffix > old->length) return false;
    if (uint32_t{old->data[kHoff]} + prefix > old->length) return false;
  }
  uint8_t* tuple = AddItemOverUnused(change->page, update.new_offset, length, kMaxHeapTuples);
  if (tuple == nullptr) return false;
  WriteTupleHeader(tuple, stored, change->xid(), update.new_xmax, change->block.tag.block,
                   update.new_offset);
  uint8_t* out = tuple + kTupleHeaderSize;
  if (prefix > 0) {
    if (stored.hoff < kTupleHeaderSize || stored.hoff - kTupleHeaderSize > left) return false;
    const uint32_t bitmap = stored.hoff - kTupleHeaderSize;
    std::memcpy(out, in, bitmap);
    CopyBytes(out + bitmap, old->data + old->data[kHoff], prefix);
    out += bitmap + prefix;
    in += bitmap;
    left -= bitmap;
  }
  std::memcpy(out, in, left);
  if (suffix > 0) CopyBytes(out + left, old->data + old->length - suffix, suffix);
  if (update.flags & op::kNewAllVisibleCleared) ClearFlags(change->page, kPdAllVisible);
  return true;
}

// Block 0 has the new tuple, block 1 the old one; without block 1 both are on one page.
bool UpdateNewPage(Change* change) {
  if (change->main().size() < op::kUpdateSize) return false;
  const UpdateRecord update(change->main().data());
  if (change->info() & op::kInitPage) InitPage(change->page, 0);
  return HeapHeaderFits(change->page) && AddNewTuple(change, update, nullptr);
}

bool UpdateOldPage(Change* change) {
  if (change->main().size() < op::kUpdateSize) return false;
  const UpdateRecord update(change->main().data());
  // The server would fail on the other page.
  if (update.flags & (op::kPrefixFromOld | op::kSuffixFromOld)) return false;
  Item old;
  return UpdateOldTuple(change, update, change->record.block(0)->tag.block, &old);
}

bool UpdateOnePage(Change* change) {
  if (change->main().size() < op::kUpdateSize) return false;
  const UpdateRecord update(change->main().data());
  Item old;
  return UpdateOldTuple(change, update, change->block.tag.block, &old) &&
         AddNewTuple(change, update, &old);
}

// xl_heap_confirm: offnum.
bool Confirm(Change* change) {
  if (change->main().size() < 2) return false;
  const uint16_t offset = Get16(change->main().data());
  Item tuple;
  if (!FindTuple(change, offset, &tuple)) return false;
  PutItemPointer(tuple.data + kCtid, change->block.tag.block, offset);
  return true;
}

// xl_heap_lock: locking_xid, offnum, infobits_set, flags.
bool Lock(Change* change) {
  const Bytes main = change->main();
  if (main.size() < op::kLockSize) return false;
  const uint16_t offset = Get16(main.data() + op::kLockLine);
  Item tuple;
  if (!FindTuple(change, offset, &tuple)) return false;
  SetXmaxBits(tuple.data, main[6], false);
  if (IsLockedOnly(Get16(tuple.data + kInfomask))) {
    Put16(tuple.data + kInfomask2, Get16(tuple.data + kInfomask2) & ~uint32_t{kHotUpdated});
    PutItemPointer(tuple.data + kCtid, change->block.tag.block, offset);
  }
  Put32(tuple.data + kXmax, Get32(main.data()));
  ClearCmax(tuple.data);
  return true;
}

// xl_heap_inplace: offnum.
bool Inplace(Change* change) {
  const Bytes data = change->data();
  if (change->main().size() < 2) return false;
  Item tuple;
  if (!FindTuple(change, Get16(change->main().data()), &tuple)) return false;
  const uint32_t at = tuple.data[kHoff];
  if (data.size() + at != tuple.length) return false;
  std::memcpy(tuple.data + at, data.data(), data.size());
  return true;
}

Routine FindUpdateRoutine(const RecordView& record, int id) {
  const bool init = record.info() & op::kInitPage;
  const BlockRef* old = record.block(1);
  if (old == nullptr)
    return id == 0 && !init && BlockAgrees(record, 0, false) ? UpdateOnePage : nullptr;
  if ((record.info() & ~op::kInitPage) == op::kHotUpdate) return nullptr;  // never across pages
  if (!BlockAgrees(record, 0, init) || !BlockAgrees(record, 1, false)) return nullptr;
  if (old->tag.fork == kVisibilityMapFork) return nullptr;
  if (record.block(0)->tag.block == old->tag.block) return nullptr;
  return id == 0 ? UpdateNewPage : id == 1 ? UpdateOldPage : nullptr;
}

}  // namespace

Routine FindHeapRoutine(const RecordView& record, int id) {
  if (record.block(id)->tag.fork == kVisibilityMapFork) return FindClearMapRoutine(record, id);
  const uint8_t operation = record.info() & ~op::kInitPage;
  if (operation == op::kUpdate || operation == op::kHotUpdate) return FindUpdateRoutine(record, id);
  const bool init = operation == op::kInsert && (record.info() & op::kInitPage);
  if (id != 0 || !BlockAgrees(record, 0, init)) return nullptr;
  switch (operation) {
    case op::kInsert:
      return Insert;
    case op::kDelete:
      return Delete;
    case op::kConfirm:
      return Confirm;
    case op::kLock:
      return Lock;
    case op::kInplace:
      return Inplace;
    default:
      return nullptr;
  }
}

}  // namespace neon_redo::native
