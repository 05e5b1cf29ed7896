// Resource manager Gist: gist_redo in access/gist/gistxlog.c; the records are in
// access/gistxlog.h, the pages in access/gist.h.
//
// Servers before the minor release that calls F_TUPLES_DELETED deprecated (access/gist.h) also set
// that flag, which no server reads, on pages that lose tuples; this engine does as newer releases
// do.
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/special_area.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/redo/native/change.h"

namespace neon_redo::native {

namespace {

namespace op = layout::gist;
using namespace pg::gist;

bool HeaderFits(const uint8_t* page) { return native::HeaderFits(page, kSpecialSize); }
uint8_t* Opaque(uint8_t* page) { return SpecialArea(page, kSpecialSize); }
uint16_t GistFlags(uint8_t* page) { return Get16(Opaque(page) + kFlags); }
void SetGistFlag(uint8_t* page, uint16_t flag) {
  Put16(Opaque(page) + kFlags, GistFlags(page) | flag);
}
void ClearGistFlag(uint8_t* page, uint16_t flag) {
  Put16(Opaque(page) + kFlags, GistFlags(page) & ~uint32_t{flag});
}
void SetNsn(uint8_t* page, uint64_t nsn) {
  Put32(Opaque(page) + kNsn, static_cast<uint32_t>(nsn >> 32));
  Put32(Opaque(page) + kNsn + 4, static_cast<uint32_t>(nsn));
}

// gistxlogPageUpdate: ntodelete, ntoinsert. The block's data: numbers to delete, tuples to add.
bool PageUpdate(Change* change) {
  const Bytes main = change->main();
  Bytes data = change->data();
  uint8_t* page = change->page;
  if (main.size() < 4 || !HeaderFits(page)) return false;
  const uint32_t deleted = Get16(main.data()), inserted = Get16(main.data() + 2);
  if (data.size() < 2 * size_t{deleted}) return false;
  const uint8_t* numbers = data.data();
  data = data.subspan(2 * size_t{deleted});
  if (deleted == 1 && inserted == 1) {
    Bytes tuple;
    return TakeIndexTuple(&data, &tuple) && data.empty() &&
           ReplaceIndexItem(page, Get16(numbers), tuple.data(),
                            static_cast<uint32_t>(tuple.size()));
  }
  if (deleted > 0 && !DeleteIndexItems(page, numbers, deleted)) return false;
  uint32_t added;
  return AppendIndexTuples(page, data, &added) && added == inserted;
}

// gistxlogDelete: latestRemovedXid, ntodelete, that many numbers. In 15 the numbers may be left out, as
// they are beside an image.
bool Delete(Change* change) {
  const size_t fixed_size = change->record.version().gist_delete_offsets;
  const Bytes main = change->main();
  if (main.size() < fixed_size || !HeaderFits(change->page)) return false;
  const uint32_t deleted = Get16(main.data() + 4);
  if (main.size() > fixed_size || !change->record.version().gist_delete_may_lack_offsets) {
    if (main.size() < fixed_size + 2 * size_t{deleted} ||
        !DeleteIndexItems(change->page, main.data() + fixed_size, deleted))
      return false;
  }
  ClearGistFlag(change->page, kHasGarbage);
  return true;
}

// The left page of a split whose downlink is now there (gistRedoClearFollowRight).
bool ClearFollowRight(Change* change) {
  if (!HeaderFits(change->page)) return false;
  SetNsn(change->page, change->lsn);
  ClearGistFlag(change->page, kFollowRight);
  return true;
}

// gistxlogPageSplit: origrlink, orignsn, origleaf, npage, markfollowright. Blocks 1 to npage: the
// pages; their data: how many tuples, then those.
constexpr size_t kSplitSize = 21;

bool PageSplit(Change* change) {
  constexpr uint32_t kRoot = 0;  // GIST_ROOT_BLKNO
  const uint8_t* main = change->main().data();
  const Bytes data = change->data();
  uint8_t* page = change->page;
  const int pages = Get16(main + 18);
  const uint32_t block = change->block.tag.block;
  const bool root = block == kRoot, leaf = main[16] != 0 && !root;
  const bool last = change->id == pages;
  const bool root_split = change->record.block(1)->tag.block == kRoot;
  if (data.size() < 4 || (root && change->id != 1)) return false;
  InitPage(page, kSpecialSize);
  uint32_t added;
  if (!AppendIndexTuples(page, data.subspan(4), &added) || added != Get32(data.data()))
    return false;
  uint32_t right = last ? Get32(main) : 0;
  if (!last) right = change->record.block(change->id + 1)->tag.block;
  if (root) right = kInvalidBlock;
  const bool follow = !root && !last && !root_split && main[20] != 0;
  SetNsn(page, Get64(main + 8));
  Put32(Opaque(page) + kRightLink, right);
  Put16(Opaque(page) + kFlags, (leaf ? kLeaf : 0u) | (follow ? kFollowRight : 0u));
  Put16(Opaque(page) + kPageIdField, kPageId);
  return true;
}

// gistxlogPageDelete: deleteXid, downlinkOffset. Block 0: the leaf (GistPageSetDeleted).
bool PageDeleteLeaf(Change* change) {
  if (change->main().size() < 10 || !HeaderFits(change->page)) return false;
  SetGistFlag(change->page, kDeleted);
  SetLower(change->page, kHeaderSize + 8);
  std::memcpy(change->page + kHeaderSize, change->main().data(), 8);
  return true;
}

// Block 1: its parent.
bool PageDeleteParent(Change* change) {
  return change->main().size() >= 10 && HeaderFits(change->page) &&
         DeleteIndexItem(change->page, Get16(change->main().data() + 8));
}

Routine FindSplitRoutine(const RecordView& record, int id) {
  const Bytes main = record.main_data();
  if (main.size() < kSplitSize || !BlockAgreesIfThere(record, 0, false)) return nullptr;
  const int pages = Get16(main.data() + 18);
  if (pages < 1 || pages > record.max_block_id()) return nullptr;
  for (int i = 1; i <= pages; i++) {
    if (!BlockAgrees(record, i, true)) return nullptr;
  }
  if (id == 0) return ClearFollowRight;
  return id <= pages ? PageSplit : nullptr;
}

}  // namespace

Routine FindGistRoutine(const RecordView& record, int id) {
  switch (record.info()) {
    case op::kPageUpdate:
      if (!BlockAgrees(record, 0, false) || !BlockAgreesIfThere(record, 1, false)) return nullptr;
      return id == 0 ? PageUpdate : id == 1 ? ClearFollowRight : nullptr;
    case op::kDelete:
      return id == 0 && BlockAgrees(record, 0, false) ? Delete : nullptr;
    case op::kPageSplit:
      return FindSplitRoutine(record, id);
    case op::kPageDelete:
      if (!BlockAgrees(record, 0, false) || !BlockAgrees(record, 1, false)) return nullptr;
      return id == 0 ? PageDeleteLeaf : id == 1 ? PageDeleteParent : nullptr;
    default:
      return nullptr;
  }
}

bool GistChangesRestoredPage(const RecordView& record, int id) {
  return (record.info() == op::kPageUpdate && id == 1) ||
         (record.info() == op::kPageSplit && id == 0);
}

}  // namespace neon_redo::native
