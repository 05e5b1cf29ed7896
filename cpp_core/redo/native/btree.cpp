// Resource manager Btree: btree_redo in access/nbtree/nbtxlog.c; the records are in
// access/nbtxlog.h.
#include "cpp_core/redo/native/btree.h"

#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/version.h"

namespace neon_redo::native {

namespace {

namespace op = layout::btree;

// xl_btree_insert: offnum.
bool Insert(Change* change) {
  const Bytes main = change->main(), data = change->data();
  if (main.size() < 2 || data.size() < kIndexTupleHeaderSize || !BtreeHeaderFits(change->page))
    return false;
  return AddItem(change->page, Get16(main.data()), data.data(), static_cast<uint32_t>(data.size()));
}

// The same, after splitting the posting list before it. The block's data: where in the list, then
// the tuple as it was to be before the split.
bool InsertPost(Change* change) {
  const Bytes main = change->main(), data = change->data();
  uint8_t* page = change->page;
  if (main.size() < 2 || data.size() < 2 + kIndexTupleHeaderSize || !BtreeHeaderFits(page))
    return false;
  const uint32_t number = Get16(main.data());
  const auto size = static_cast<uint32_t>(data.size() - 2);
  Item item;
  PostingTuple posting;
  if (TupleSize(data.data() + 2) != size || number < 2 ||
      !FindItem(page, number - 1, kIndexTupleHeaderSize, &item) || !posting.Read(item))
    return false;
  uint8_t* tuple = AddItem(page, number, size);
  if (tuple == nullptr) return false;
  CopyBytes(tuple, data.data() + 2, size);
  return SwapPosting(tuple, posting, Get16(data.data()));
}

// _bt_clear_incomplete_split
bool ClearIncompleteSplit(Change* change) {
  if (!BtreeHeaderFits(change->page)) return false;
  ClearBtreeFlag(change->page, pg::btree::kIncompleteSplit);
  return true;
}

// _bt_restore_meta: the block's data is xl_btree_metadata, the page gets BTMetaPageData.
bool RestoreMeta(Change* change) {
  constexpr uint32_t kMagic = 0x053162;  // BTREE_MAGIC
  constexpr uint32_t kMetaSize = 48;
  const Bytes data = change->data();
  if (data.size() < 28) return false;
  InitBtreePage(change->page, 0, 0, 0, pg::btree::kMeta);
  uint8_t* meta = change->page + kHeaderSize;
  Put32(meta, kMagic);
  // version, root, level, fastroot, fastlevel, last_cleanup_num_delpages
  std::memcpy(meta + 4, data.data(), 24);
  const double heap_tuples = -1.0;  // btm_last_cleanup_num_heap_tuples
  std::memcpy(meta + 32, &heap_tuples, sizeof(heap_tuples));
  meta[40] = data[24];  // allequalimage
  SetLower(change->page, kHeaderSize + kMetaSize);
  return true;
}

// Block 2 of a split: the page to the right of the new one.
bool SplitSibling(Change* change) {
  if (!BtreeHeaderFits(change->page)) return false;
  Put32(Opaque(change->page) + pg::btree::kPrev, change->record.block(1)->tag.block);
  return true;
}

// btree_xlog_updates: posting lists lose some TIDs. in: for each of the numbers an
// xl_btree_update: how many, and which of the list, ascending (_bt_update_posting).
bool UpdatePosting(uint8_t* page, uint32_t number, ByteReader* in) {
  uint16_t deleted_count;
  Bytes deleted;
  Item item;
  PostingTuple old;
  if (!in->Read(&deleted_count) || !in->ReadBytes(2 * size_t{deleted_count}, &deleted) ||
      !FindItem(page, number, kIndexTupleHeaderSize, &item) || !old.Read(item) ||
      deleted_count == 0 || deleted_count >= old.count)
    return false;
  const uint32_t count = old.count - deleted_count;
  const uint32_t size =
      count > 1 ? MaxAlign(old.key_size + count * kItemPointerSize) : old.key_size;
  alignas(8) uint8_t tuple[kPageSize];
  std::memset(tuple, 0, size);
  std::memcpy(tuple, old.tuple, old.key_size);
  uint8_t* to = tuple;
  if (count > 1) {
    SetPosting(tuple, size, old.key_size, count);
    to = tuple + old.key_size;
  } else {
    Put16(tuple + kIndexTupleInfoAt,
          (TupleInfo(tuple) & ~uint32_t{kIndexSizeMask | kIndexAltTid}) | size);
  }
  uint32_t next = 0, kept = 0;
  for (uint32_t i = 0; i < old.count; i++) {
    if (next < deleted_count && Get16(deleted.data() + 2 * size_t{next}) == i) {
      next++;
      continue;
    }
    if (kept++ == count) return false;
    std::memcpy(to, old.tid(i), kItemPointerSize);
    to += kItemPointerSize;
  }
  return next == deleted_count && ReplaceIndexItem(page, number, tuple, size);
}

// The block's data of vacuum and delete: numbers of items to delete, numbers of items to update,
// the updates.
bool DeleteItems(Change* change, uint32_t deleted, uint32_t updated) {
  const Bytes data = change->data();
  uint8_t* page = change->page;
  const size_t numbers = 2 * (size_t{deleted} + updated);
  if (!BtreeHeaderFits(page) || data.size() < numbers) return false;
  ByteReader updates(data.subspan(numbers));
  for (uint32_t i = 0; i < updated; i++) {
    if (!UpdatePosting(page, Get16(data.data() + 2 * (size_t{deleted} + i)), &updates))
      return false;
  }
  if (deleted > 0 && !DeleteIndexItems(page, data.data(), deleted)) return false;
  ClearBtreeFlag(page, pg::btree::kHasGarbage);
  return true;
}

// xl_btree_vacuum: ndeleted, nupdated.
bool Vacuum(Change* change) {
  const Bytes main = change->main();
  return main.size() >= 4 && DeleteItems(change, Get16(main.data()), Get16(main.data() + 2));
}

// From 18 on.
bool VacuumAndClearCycleId(Change* change) {
  if (!Vacuum(change)) return false;
  Put16(Opaque(change->page) + pg::btree::kCycleId, 0);
  return true;
}

// xl_btree_delete: latestRemovedXid, ndeleted, nupdated.
bool Delete(Change* change) {
  const Bytes main = change->main();
  return main.size() >= 8 && DeleteItems(change, Get16(main.data() + 4), Get16(main.data() + 6));
}

// A leaf page on its way out: empty but for a high key that holds the top parent's number
// (BTreeTupleSetTopParent).
bool WriteHalfDeadLeaf(uint8_t* page, uint32_t prev, uint32_t next, uint32_t top_parent) {
  InitBtreePage(page, prev, next, 0, pg::btree::kHalfDead | pg::btree::kLeaf);
  uint8_t tuple[kIndexTupleHeaderSize];
  PutItemPointer(tuple, top_parent, 0);
  Put16(tuple + kIndexTupleInfoAt, kIndexTupleHeaderSize | kIndexAltTid);
  return AddItem(page, kFirstOffset, tuple, sizeof(tuple));
}

// xl_btree_mark_page_halfdead: poffset, leafblk, leftblk, rightblk, topparent. Block 0: the leaf.
bool MarkHalfDeadLeaf(Change* change) {
  const Bytes main = change->main();
  if (main.size() < 20) return false;
  const uint8_t* p = main.data();
  return WriteHalfDeadLeaf(change->page, Get32(p + 8), Get32(p + 12), Get32(p + 16));
}

// Block 1: the parent. The downlink takes the target of the next one, which goes.
bool MarkHalfDeadParent(Change* change) {
  const Bytes main = change->main();
  uint8_t* page = change->page;
  if (main.size() < 20 || !BtreeHeaderFits(page)) return false;
  const uint32_t number = Get16(main.data());
  Item item, next;
  if (!FindItem(page, number, kIndexTupleHeaderSize, &item) ||
      !FindItem(page, number + 1, kIndexTupleHeaderSize, &next))
    return false;
  std::memcpy(item.data, next.data, 4);
  return DeleteIndexItem(page, number + 1);
}

// xl_btree_unlink_page
struct UnlinkRecord {
  bool Read(const Change& change) {
    const Bytes main = change.main();
    if (main.size() < 36) return false;
    const uint8_t* p = main.data();
    left = Get32(p);
    right = Get32(p + 4);
    level = Get32(p + 8);
    safe_xid = Get64(p + 16);
    leaf_left = Get32(p + 24);
    leaf_right = Get32(p + 28);
    leaf_top_parent = Get32(p + 32);
    return true;
  }
  uint32_t left, right, level;
  uint64_t safe_xid;
  uint32_t leaf_left, leaf_right, leaf_top_parent;
};

// Block 0: the deleted page (BTPageSetDeleted).
bool UnlinkTarget(Change* change) {
  UnlinkRecord unlink;
  if (!unlink.Read(*change)) return false;
  InitBtreePage(
      change->page, unlink.left, unlink.right, unlink.level,
      pg::btree::kDeleted | pg::btree::kHasFullXid | (unlink.level == 0 ? pg::btree::kLeaf : 0));
  Put64(change->page + kHeaderSize, unlink.safe_xid);
  SetLower(change->page, kHeaderSize + sizeof(unlink.safe_xid));
  return true;
}

// Blocks 1 and 2: its siblings.
bool UnlinkLeft(Change* change) {
  UnlinkRecord unlink;
  if (!unlink.Read(*change) || !BtreeHeaderFits(change->page)) return false;
  Put32(Opaque(change->page) + pg::btree::kNext, unlink.right);
  return true;
}
bool UnlinkRight(Change* change) {
  UnlinkRecord unlink;
  if (!unlink.Read(*change) || !BtreeHeaderFits(change->page)) return false;
  Put32(Opaque(change->page) + pg::btree::kPrev, unlink.left);
  return true;
}

// Block 3: the leaf of the subtree that is being deleted.
bool UnlinkLeaf(Change* change) {
  UnlinkRecord unlink;
  return unlink.Read(*change) && WriteHalfDeadLeaf(change->page, unlink.leaf_left,
                                                   unlink.leaf_right, unlink.leaf_top_parent);
}

// xl_btree_newroot: rootblk, level.
bool NewRoot(Change* change) {
  const Bytes main = change->main();
  if (main.size() < 8) return false;
  const uint32_t level = Get32(main.data() + 4);
  InitBtreePage(change->page, 0, 0, level,
                static_cast<uint16_t>(pg::btree::kRoot | (level == 0 ? pg::btree::kLeaf : 0)));
  return level == 0 || RestoreItems(change->page, change->data());
}

Routine FindInsertRoutine(const RecordView& record, int id) {
  const uint8_t operation = record.info();
  const bool leaf = operation == op::kInsertLeaf || operation == op::kInsertPost;
  const bool meta = operation == op::kInsertMeta;
  if (!BlockAgrees(record, 0, false) || (!leaf && !BlockAgrees(record, 1, false)) ||
      (meta && !BlockAgrees(record, 2, true)))
    return nullptr;
  if (id == 0) return operation == op::kInsertPost ? InsertPost : Insert;
  if (id == 1 && !leaf) return ClearIncompleteSplit;
  return id == 2 && meta ? RestoreMeta : nullptr;
}

Routine FindSplitRoutine(const RecordView& record, int id) {
  if (record.main_data().size() < 10) return nullptr;
  const bool leaf = Get32(record.main_data().data()) == 0;
  if (!BlockAgrees(record, 0, false) || !BlockAgrees(record, 1, true) ||
      !BlockAgreesIfThere(record, 2, false) || (!leaf && !BlockAgrees(record, 3, false)))
    return nullptr;
  // A right sibling with number 0 would be none to the server.
  if (record.block(2) != nullptr && record.block(2)->tag.block == 0) return nullptr;
  switch (id) {
    case 0:
      return SplitLeftPage;
    case 1:
      return SplitRightPage;
    case 2:
      return SplitSibling;
    case 3:
      return leaf ? nullptr : ClearIncompleteSplit;
    default:
      return nullptr;
  }
}

Routine FindUnlinkRoutine(const RecordView& record, int id) {
  if (record.main_data().size() < 36) return nullptr;
  const bool left = Get32(record.main_data().data()) != 0;
  const bool meta = record.info() == op::kUnlinkPageMeta;
  if (!BlockAgrees(record, 0, true) || (left && !BlockAgrees(record, 1, false)) ||
      !BlockAgrees(record, 2, false) || !BlockAgreesIfThere(record, 3, true) ||
      (meta && !BlockAgrees(record, 4, true)))
    return nullptr;
  switch (id) {
    case 0:
      return UnlinkTarget;
    case 1:
      return left ? UnlinkLeft : nullptr;
    case 2:
      return UnlinkRight;
    case 3:
      return UnlinkLeaf;
    case 4:
      return meta ? RestoreMeta : nullptr;
    default:
      return nullptr;
  }
}

Routine FindNewRootRoutine(const RecordView& record, int id) {
  if (record.main_data().size() < 8) return nullptr;
  const bool leaf = Get32(record.main_data().data() + 4) == 0;
  if (!BlockAgrees(record, 0, true) || (!leaf && !BlockAgrees(record, 1, false)) ||
      !BlockAgrees(record, 2, true))
    return nullptr;
  if (id == 0) return NewRoot;
  if (id == 1) return leaf ? nullptr : ClearIncompleteSplit;
  return id == 2 ? RestoreMeta : nullptr;
}

Routine OnlyBlock(const RecordView& record, int id, Routine routine) {
  return id == 0 && BlockAgrees(record, 0, false) ? routine : nullptr;
}

}  // namespace

Routine FindBtreeRoutine(const RecordView& record, int id) {
  switch (record.info()) {
    case op::kInsertLeaf:
    case op::kInsertUpper:
    case op::kInsertMeta:
    case op::kInsertPost:
      return FindInsertRoutine(record, id);
    case op::kSplitLeft:
    case op::kSplitRight:
      return FindSplitRoutine(record, id);
    case op::kDedup:
      return OnlyBlock(record, id, Dedup);
    case op::kDelete:
      return OnlyBlock(record, id, Delete);
    case op::kVacuum:
      return OnlyBlock(
          record, id,
          record.version().btree_vacuum_clears_cycle_id ? VacuumAndClearCycleId : Vacuum);
    case op::kUnlinkPage:
    case op::kUnlinkPageMeta:
      return FindUnlinkRoutine(record, id);
    case op::kNewRoot:
      return FindNewRootRoutine(record, id);
    case op::kMarkPageHalfDead:
      if (!BlockAgrees(record, 0, true) || !BlockAgrees(record, 1, false)) return nullptr;
      return id == 0 ? MarkHalfDeadLeaf : id == 1 ? MarkHalfDeadParent : nullptr;
    case op::kMetaCleanup:
      return id == 0 && BlockAgrees(record, 0, true) ? RestoreMeta : nullptr;
    default:
      return nullptr;
  }
}

}  // namespace neon_redo::native
