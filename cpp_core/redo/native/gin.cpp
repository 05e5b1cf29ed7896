// Resource manager Gin: gin_redo in access/gin/ginxlog.c; the records are in access/ginxlog.h, the
// pages in access/ginblock.h. Left to the worker: posting trees but for their creation (their leaf
// pages are compressed), the deletion of their pages, and splits, whose pages come as images.
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/special_area.h"
#include "cpp_core/redo/native/change.h"

namespace neon_redo::native {

namespace {

namespace op = layout::gin;
using namespace pg::gin;

bool HeaderFits(const uint8_t* page) { return native::HeaderFits(page, kSpecialSize); }
uint8_t* Opaque(uint8_t* page) { return SpecialArea(page, kSpecialSize); }

// GinInitPage
void InitGinPage(uint8_t* page, uint16_t flags) {
  InitPage(page, kSpecialSize);
  Put32(Opaque(page) + kRightLink, kInvalidBlock);
  Put16(Opaque(page) + kFlags, flags);
}

// ginxlogCreatePostingTree: size, then the compressed lists of the new leaf.
bool CreatePostingTree(Change* change) {
  constexpr uint32_t kListsAt = 32;  // GinDataLeafPageGetPostingList
  const Bytes main = change->main();
  if (main.size() < 4) return false;
  const uint32_t size = Get32(main.data());
  if (size > main.size() - 4 || size > kPageSize - kSpecialSize - kListsAt) return false;
  InitGinPage(change->page, kData | kLeaf | kCompressed);
  std::memcpy(change->page + kListsAt, main.data() + 4, size);
  SetLower(change->page, kListsAt + size);
  return true;
}

// ginxlogInsert: flags; of an internal page also the two children whose split it finishes.
constexpr uint8_t kInsertIsData = 0x01, kInsertIsLeaf = 0x02;

// Block 0 of it in the entry tree. Its data, ginxlogInsertEntry: offset, isDelete, the tuple.
bool InsertEntry(Change* change) {
  const Bytes main = change->main(), data = change->data();
  uint8_t* page = change->page;
  if (data.size() < 4 || !HeaderFits(page)) return false;
  const uint32_t number = Get16(data.data());
  const bool leaf = main[0] & kInsertIsLeaf;
  Bytes rest = data.subspan(4), tuple;
  if (!TakeIndexTuple(&rest, &tuple)) return false;
  if (!leaf) {
    const uint32_t right_child = GetBlockNumber(main.data() + 6);
    Item item;
    if (!FindItem(page, number, kIndexTupleHeaderSize, &item)) return false;
    if (right_child == kInvalidBlock) return false;
    PutItemPointer(item.data, right_child, 0);
  }
  if (data[2] != 0 && (!leaf || !DeleteIndexItem(page, number))) return false;
  return AddItem(page, number, tuple);
}

// Block 1 of it: the left child.
bool ClearIncompleteSplit(Change* change) {
  if (!HeaderFits(change->page)) return false;
  uint8_t* flags = Opaque(change->page) + kFlags;
  Put16(flags, Get16(flags) & ~uint32_t{kIncompleteSplit});
  return true;
}

// Main data that holds the meta page's new content at `at`.
bool RestoreMeta(Change* change, size_t at) {
  if (change->main().size() < at + kMetaSize) return false;
  InitGinPage(change->page, kMeta);
  std::memcpy(change->page + kHeaderSize, change->main().data() + at, kMetaSize);
  SetLower(change->page, kHeaderSize + kMetaSize);
  return true;
}

// ginxlogUpdateMeta: node, metadata, prevTail, newRightlink, ntuples.
constexpr size_t kUpdateMetaData = 16, kPrevTail = 72, kNewRightLink = 76, kTupleCount = 80,
                 kUpdateMetaSize = 84;

bool UpdateMeta(Change* change) { return RestoreMeta(change, kUpdateMetaData); }

// Block 1 of it: the tail of the pending list gets tuples, or a page after it.
bool UpdateTail(Change* change) {
  const uint8_t* main = change->main().data();
  uint8_t* page = change->page;
  if (!HeaderFits(page)) return false;
  const auto tuples = static_cast<int32_t>(Get32(main + kTupleCount));
  if (tuples <= 0) {
    Put32(Opaque(page) + kRightLink, Get32(main + kNewRightLink));
    return true;
  }
  uint32_t added;
  if (!AppendIndexTuples(page, change->data(), &added) || added != static_cast<uint32_t>(tuples))
    return false;
  Put16(Opaque(page) + kMaxOffset, Get16(Opaque(page) + kMaxOffset) + 1u);
  return true;
}

// ginxlogInsertListPage: rightlink, ntuples.
bool InsertListPage(Change* change) {
  const Bytes main = change->main();
  uint8_t* page = change->page;
  if (main.size() < 8) return false;
  const uint32_t right = Get32(main.data());
  const bool tail = right == kInvalidBlock;
  InitGinPage(page, kList | (tail ? kListFullRow : 0));
  Put32(Opaque(page) + kRightLink, right);
  Put16(Opaque(page) + kMaxOffset, tail);
  uint32_t added;
  return AppendIndexTuples(page, change->data(), &added) && added == Get32(main.data() + 4);
}

// ginxlogDeleteListPages: metadata, ndeleted.
bool DeleteListMeta(Change* change) { return RestoreMeta(change, 0); }

// Blocks from 1 on of it.
bool DeleteListPage(Change* change) {
  InitGinPage(change->page, kDeleted);
  return true;
}

Routine FindInsertRoutine(const RecordView& record, int id) {
  const Bytes main = record.main_data();
  if (main.size() < 2 || !BlockAgrees(record, 0, false)) return nullptr;
  const bool leaf = main[0] & kInsertIsLeaf;
  if (!leaf && (main.size() < 10 || !BlockAgrees(record, 1, false))) return nullptr;
  if (id == 0) return main[0] & kInsertIsData ? nullptr : InsertEntry;
  return id == 1 && !leaf ? ClearIncompleteSplit : nullptr;
}

Routine FindUpdateMetaRoutine(const RecordView& record, int id) {
  const Bytes main = record.main_data();
  if (main.size() < kUpdateMetaSize || !BlockAgrees(record, 0, true)) return nullptr;
  const bool tail = static_cast<int32_t>(Get32(main.data() + kTupleCount)) > 0 ||
                    Get32(main.data() + kPrevTail) != kInvalidBlock;
  if (tail && !BlockAgrees(record, 1, false)) return nullptr;
  return id == 0 ? UpdateMeta : id == 1 && tail ? UpdateTail : nullptr;
}

Routine FindDeleteListRoutine(const RecordView& record, int id) {
  const Bytes main = record.main_data();
  if (main.size() < kMetaSize + 4 || !BlockAgrees(record, 0, true)) return nullptr;
  const auto pages = static_cast<int32_t>(Get32(main.data() + kMetaSize));
  if (pages < 0 || pages > kMaxBlockId) return nullptr;
  for (int i = 1; i <= pages; i++) {
    if (!BlockAgrees(record, i, true)) return nullptr;
  }
  return id == 0 ? DeleteListMeta : id <= pages ? DeleteListPage : nullptr;
}

}  // namespace

Routine FindGinRoutine(const RecordView& record, int id) {
  switch (record.info()) {
    case op::kCreatePostingTree:
      return id == 0 && BlockAgrees(record, 0, true) ? CreatePostingTree : nullptr;
    case op::kInsert:
      return FindInsertRoutine(record, id);
    case op::kUpdateMetaPage:
      return FindUpdateMetaRoutine(record, id);
    case op::kInsertListPage:
      return id == 0 && BlockAgrees(record, 0, true) ? InsertListPage : nullptr;
    case op::kDeleteListPage:
      return FindDeleteListRoutine(record, id);
    default:
      return nullptr;
  }
}

}  // namespace neon_redo::native
