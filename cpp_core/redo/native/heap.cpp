// Resource manager Heap: heap_redo and heap_xlog_* in access/heap/heapam.c; the records are in
// access/heapam_xlog.h. The visibility map's page, which some of these records clear bits in, is no
// block of theirs.
#include "cpp_core/pg/heap_tuple.h"

namespace neon_redo::native {

namespace {

constexpr uint8_t kInitPage = 0x80;  // XLOG_HEAP_INIT_PAGE
enum Operation : uint8_t {
  kInsert = 0x00,
  kDelete = 0x10,
  kUpdate = 0x20,
  kHotUpdate = 0x40,
  kConfirm = 0x50,
  kLock = 0x60,
  kInplace = 0x70,
};

// xl_heap_header
constexpr size_t kStoredHeaderSize = 5;
StoredHeader ReadStoredHeader(const uint8_t* p) { return {Get16(p), Get16(p + 2), p[4]}; }

// PageSetPrunable: the older of the two transactions stays (TransactionIdPrecedes).
void SetPrunable(uint8_t* page, uint32_t xid) {
  uint8_t* field = page + 20;  // pd_prune_xid
  const uint32_t old = Get32(field);
  constexpr uint32_t kFirstNormal = 3;
  const bool precedes =
      xid < kFirstNormal || old < kFirstNormal ? xid < old : static_cast<int32_t>(xid - old) < 0;
  if (old == 0 || precedes) Put32(field, xid);
}

bool FindTuple(Change* change, uint16_t offset, Item* tuple) {
  return HeapHeaderFits(change->page) &&
         FindNormalItem(change->page, offset, kTupleHeaderSize, tuple);
}

// xl_heap_insert: offnum, flags.
bool Insert(Change* change) {
  const Bytes main = change->main(), data = change->data();
  if (main.size() < 3 || data.size() <= kStoredHeaderSize) return false;
  const uint16_t offset = Get16(main.data());
  if (change->info() & kInitPage) InitPage(change->page, 0);
  if (!HeapHeaderFits(change->page)) return false;
  if (!InsertTuple(change->page, ReadStoredHeader(data.data()), data.data() + kStoredHeaderSize,
                   static_cast<uint32_t>(data.size() - kStoredHeaderSize), change->xid(),
                   change->block.tag.block, offset))
    return false;
  if (main[2] & 0x01) ClearFlags(change->page, kPdAllVisible);  // XLH_INSERT_ALL_VISIBLE_CLEARED
  return true;
}

// xl_heap_delete: xmax, offnum, infobits_set, flags.
bool Delete(Change* change) {
  constexpr uint8_t kAllVisibleCleared = 0x01, kSuper = 0x08, kPartitionMove = 0x10;
  constexpr uint16_t kMovedPartitions = 0xfffd;  // MovedPartitionsOffsetNumber
  const Bytes main = change->main();
  if (main.size() < 8) return false;
  const uint16_t offset = Get16(main.data() + 4);
  const uint8_t flags = main[7];
  Item tuple;
  if (!FindTuple(change, offset, &tuple)) return false;
  SetXmaxBits(tuple.data, main[6], true);
  if (flags & kSuper)
    Put32(tuple.data + kXmin, 0);
  else
    Put32(tuple.data + kXmax, Get32(main.data()));
  ClearCmax(tuple.data);
  SetPrunable(change->page, change->xid());
  if (flags & kAllVisibleCleared) ClearFlags(change->page, kPdAllVisible);
  if (flags & kPartitionMove)
    PutItemPointer(tuple.data + kCtid, kInvalidBlock, kMovedPartitions);
  else
    PutItemPointer(tuple.data + kCtid, change->block.tag.block, offset);
  return true;
}

// xl_heap_update
struct UpdateRecord {
  explicit UpdateRecord(const uint8_t* p)
      : old_xmax(Get32(p)),
        old_offset(Get16(p + 4)),
        old_infobits(p[6]),
        flags(p[7]),
        new_xmax(Get32(p + 8)),
        new_offset(Get16(p + 12)) {}
  static constexpr size_t kSize = 14;
  static constexpr uint8_t kOldAllVisibleCleared = 0x01, kNewAllVisibleCleared = 0x02,
                           kPrefixFromOld = 0x20, kSuffixFromOld = 0x40;

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
  if ((change->info() & ~kInitPage) == kHotUpdate)
    Put16(old->data + kInfomask2, Get16(old->data + kInfomask2) | kHotUpdated);
  Put32(old->data + kXmax, update.old_xmax);
  ClearCmax(old->data);
  PutItemPointer(old->data + kCtid, new_block, update.new_offset);
  SetPrunable(change->page, change->xid());
  if (update.flags & UpdateRecord::kOldAllVisibleCleared) ClearFlags(change->page, kPdAllVisible);
  return true;
}

// The new tuple: header; bitmap and padding; prefix of the old tuple's data; the record's data;
// suffix of the old tuple. old is null when the tuples are on different pages.
bool AddNewTuple(Change* change, const UpdateRecord& update, const Item* old) {
  const Bytes data = change->data();
  const uint8_t* in = data.data();
  const uint8_t* end = in + data.size();
  uint32_t prefix = 0, suffix = 0;
  const bool has_prefix = update.flags & UpdateRecord::kPrefixFromOld;
  const bool has_suffix = update.flags & UpdateRecord::kSuffixFromOld;
  if (data.size() < kStoredHeaderSize + 2 * (size_t{has_prefix} + has_suffix)) return false;
  if (has_prefix) prefix = Get16(in), in += 2;
  if (has_suffix) suffix = Get16(in), in += 2;
  const StoredHeader stored = ReadStoredHeader(in);
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
  if (update.flags & UpdateRecord::kNewAllVisibleCleared) ClearFlags(change->page, kPdAllVisible);
  return true;
}

// Block 0 has the new tuple, block 1 the old one; without block 1 both are on one page.
bool UpdateNewPage(Change* change) {
  if (change->main().size() < UpdateRecord::kSize) return false;
  const UpdateRecord update(change->main().data());
  if (change->info() & kInitPage) InitPage(change->page, 0);
  return HeapHeaderFits(change->page) && AddNewTuple(change, update, nullptr);
}

bool UpdateOldPage(Change* change) {
  if (change->main().size() < UpdateRecord::kSize) return false;
  const UpdateRecord update(change->main().data());
  // The server would fail on the other page.
  if (update.flags & (UpdateRecord::kPrefixFromOld | UpdateRecord::kSuffixFromOld)) return false;
  Item old;
  return UpdateOldTuple(change, update, change->record.block(0)->tag.block, &old);
}

bool UpdateOnePage(Change* change) {
  if (change->main().size() < UpdateRecord::kSize) return false;
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
  if (main.size() < 8) return false;
  const uint16_t offset = Get16(main.data() + 4);
  Item tuple;
  if (!FindTuple(change, offset, &tuple)) return false;
  SetXmaxBits(tuple.data, main[6], false);
  const uint16_t mask = Get16(tuple.data + kInfomask);
  // HEAP_XMAX_IS_LOCKED_ONLY
  if ((mask & kXmaxLockOnly) || (mask & (kXmaxIsMulti | kLockMask)) == kXmaxExclusiveLock) {
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
  const bool init = record.info() & kInitPage;
  const BlockRef* old = record.block(1);
  if (old == nullptr)
    return id == 0 && !init && BlockAgrees(record, 0, false) ? UpdateOnePage : nullptr;
  if ((record.info() & ~kInitPage) == kHotUpdate) return nullptr;  // never across pages
  if (!BlockAgrees(record, 0, init) || !BlockAgrees(record, 1, false)) return nullptr;
  if (record.block(0)->tag.block == old->tag.block) return nullptr;
  return id == 0 ? UpdateNewPage : id == 1 ? UpdateOldPage : nullptr;
}

}  // namespace

Routine FindHeapRoutine(const RecordView& record, int id) {
  const uint8_t operation = record.info() & ~kInitPage;
  if (operation == kUpdate || operation == kHotUpdate) return FindUpdateRoutine(record, id);
  const bool init = operation == kInsert && (record.info() & kInitPage);
  if (id != 0 || !BlockAgrees(record, 0, init)) return nullptr;
  switch (operation) {
    case kInsert:
      return Insert;
    case kDelete:
      return Delete;
    case kConfirm:
      return Confirm;
    case kLock:
      return Lock;
    case kInplace:
      return Inplace;
    default:
      return nullptr;
  }
}

}  // namespace neon_redo::native
