// Resource manager BRIN: brin_redo in access/brin/brin_xlog.c; the records are in
// access/brin_xlog.h, the pages in access/brin_page.h.
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/special_area.h"
#include "cpp_core/redo/native/change.h"

namespace neon_redo::native {

namespace {

namespace op = layout::brin;
using namespace pg::brin;

constexpr uint32_t kMaxNumber = kPageSize;

// brin_page_init
void InitBrinPage(uint8_t* page, uint16_t type) {
  InitPage(page, kSpecialSize);
  Put16(page + kPageIdAt, type);
}

// xl_brin_createidx: pagesPerRange, version.
bool CreateIndex(Change* change) {
  const Bytes main = change->main();
  if (main.size() < 6) return false;
  InitBrinPage(change->page, kMetaPage);
  uint8_t* meta = change->page + kHeaderSize;
  Put32(meta, kMetaMagic);
  Put32(meta + 4, Get16(main.data() + 4));
  Put32(meta + 8, Get32(main.data()));
  Put32(meta + 12, 0);  // lastRevmapPage
  SetLower(change->page, kHeaderSize + kMetaSize);
  return true;
}

// xl_brin_insert: heapBlk, pagesPerRange, offnum. It stands at the start of an insert's main data
// and, after oldOffnum and padding, in an update's.
struct InsertRecord {
  bool Read(const Change& change) {
    const bool update = (change.info() & ~op::kInitPage) == op::kUpdate;
    const Bytes main = change.main();
    if (main.size() < (update ? 14u : 10u)) return false;
    const uint8_t* p = main.data() + (update ? 4 : 0);
    old_offset = Get16(main.data());
    heap_block = Get32(p);
    pages_per_range = Get32(p + 4);
    offset = Get16(p + 8);
    return offset != 0 && (!(change.info() & op::kInitPage) || offset == kFirstOffset);
  }
  uint16_t old_offset;  // of an update only
  uint32_t heap_block, pages_per_range;
  uint16_t offset;
};

// Block 0: the page with the new summary tuple.
bool InsertTuplePage(Change* change) {
  InsertRecord insert;
  const auto size = static_cast<uint32_t>(change->data().size());
  if (!insert.Read(*change) || size == 0) return false;
  if (change->info() & op::kInitPage) InitBrinPage(change->page, kRegularPage);
  if (!HeaderFits(change->page, kSpecialSize)) return false;
  uint8_t* to = AddItemOverUnused(change->page, insert.offset, size, kMaxNumber);
  if (to == nullptr) return false;
  CopyBytes(to, change->data().data(), size);
  return true;
}

// brinSetHeapBlockItemptr: where on its page the range map has the entry of a heap block. Null:
// the map is none.
uint8_t* RevmapEntry(uint8_t* page, uint32_t pages_per_range, uint32_t heap_block) {
  constexpr uint32_t kMaxItems = (kPageSize - kHeaderSize - kSpecialSize) / kItemPointerSize;
  if (pages_per_range == 0) return nullptr;
  return page + kHeaderSize + heap_block / pages_per_range % kMaxItems * kItemPointerSize;
}

// Block 1 of insert and update: the range map.
bool InsertRevmap(Change* change) {
  InsertRecord insert;
  if (!insert.Read(*change)) return false;
  uint8_t* entry = RevmapEntry(change->page, insert.pages_per_range, insert.heap_block);
  if (entry == nullptr) return false;
  PutItemPointer(entry, change->record.block(0)->tag.block, insert.offset);
  return true;
}

bool DeleteTuple(Change* change, uint16_t offset) {
  return HeaderFits(change->page, kSpecialSize) && DeleteItemKeepNumbers(change->page, offset);
}

// Block 2 of update: the page with the old tuple.
bool UpdateOldPage(Change* change) {
  InsertRecord update;
  return update.Read(*change) && DeleteTuple(change, update.old_offset);
}

// xl_brin_samepage_update: offnum.
bool SamepageUpdate(Change* change) {
  const Bytes main = change->main(), data = change->data();
  if (main.size() < 2 || !HeaderFits(change->page, kSpecialSize)) return false;
  return ReplaceIndexItem(change->page, Get16(main.data()), data.data(),
                          static_cast<uint32_t>(data.size()));
}

// xl_brin_revmap_extend: targetBlk. Block 0: the meta page.
bool RevmapExtendMeta(Change* change) {
  if (change->main().size() < 4) return false;
  Put32(change->page + kHeaderSize + 12, Get32(change->main().data()));  // lastRevmapPage
  SetLower(change->page, kHeaderSize + kMetaSize);
  return true;
}

// Block 1: the new page of the range map.
bool RevmapExtendNew(Change* change) {
  InitBrinPage(change->page, kRevmapPage);
  return true;
}

// xl_brin_desummarize: pagesPerRange, heapBlk, regOffset. Block 0: the range map.
bool DesummarizeRevmap(Change* change) {
  const Bytes main = change->main();
  if (main.size() < 10) return false;
  uint8_t* entry = RevmapEntry(change->page, Get32(main.data()), Get32(main.data() + 4));
  if (entry == nullptr) return false;
  PutItemPointer(entry, kInvalidBlock, 0);
  return true;
}

// Block 1: the page with the tuple.
bool DesummarizeTuplePage(Change* change) {
  const Bytes main = change->main();
  return main.size() >= 10 && DeleteTuple(change, Get16(main.data() + 8));
}

Routine FindInsertRoutine(const RecordView& record, int id, bool update) {
  if (!BlockAgrees(record, 0, record.info() & op::kInitPage) || !BlockAgrees(record, 1, false))
    return nullptr;
  if (update && !BlockAgrees(record, 2, false)) return nullptr;
  if (id == 0) return InsertTuplePage;
  if (id == 1) return InsertRevmap;
  return id == 2 && update ? UpdateOldPage : nullptr;
}

}  // namespace

Routine FindBrinRoutine(const RecordView& record, int id) {
  const uint8_t operation = record.info() & ~op::kInitPage;
  switch (operation) {
    case op::kCreateIndex:
      return id == 0 && BlockAgrees(record, 0, true) ? CreateIndex : nullptr;
    case op::kInsert:
    case op::kUpdate:
      return FindInsertRoutine(record, id, operation == op::kUpdate);
    case op::kSamepageUpdate:
      return id == 0 && BlockAgrees(record, 0, false) ? SamepageUpdate : nullptr;
    case op::kRevmapExtend:
      if (!BlockAgrees(record, 0, false) || !BlockAgrees(record, 1, true)) return nullptr;
      return id == 0 ? RevmapExtendMeta : id == 1 ? RevmapExtendNew : nullptr;
    case op::kDesummarize:
      if (!BlockAgrees(record, 0, false) || !BlockAgrees(record, 1, false)) return nullptr;
      return id == 0 ? DesummarizeRevmap : id == 1 ? DesummarizeTuplePage : nullptr;
    default:
      return nullptr;
  }
}

}  // namespace neon_redo::native
