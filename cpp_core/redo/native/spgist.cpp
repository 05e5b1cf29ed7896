// Resource manager SPGist: only XLOG_SPGIST_ADD_LEAF (spgRedoAddLeaf in access/spgist/spgxlog.c;
// the record is in access/spgxlog.h, pages and tuples in access/spgist_private.h), most of what
// such an index writes. The rest, which moves and splits tuples, is left to the worker.
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/special_area.h"
#include "cpp_core/redo/native/change.h"

namespace neon_redo::native {

namespace {

namespace op = layout::spgist;
using namespace pg::spgist;

uint8_t* Opaque(uint8_t* page) { return SpecialArea(page, kSpecialSize); }

// A tuple's first word: two bits of state, then its size (leaf and dead tuples).
constexpr uint32_t kLeafHeaderSize = 12, kPlaceholder = 3;
uint32_t TupleState(const uint8_t* tuple) { return Get32(tuple) & 3; }

// spgxlogAddLeaf, and the tuple after it.
struct AddLeafRecord {
  bool Read(const RecordView& record) {
    constexpr size_t kFixedSize = 10;
    const Bytes main = record.main_data();
    if (main.size() < kFixedSize + kLeafHeaderSize) return false;
    new_page = main[0] != 0;
    stores_nulls = main[1] != 0;
    leaf = Get16(main.data() + 2);
    head = Get16(main.data() + 4);
    parent = Get16(main.data() + 6);
    node = Get16(main.data() + 8);
    const uint32_t size = Get32(main.data() + kFixedSize) >> 2;
    if (size < kLeafHeaderSize || size > main.size() - kFixedSize) return false;
    tuple = main.subspan(kFixedSize, size);
    return true;
  }
  bool new_page, stores_nulls;
  uint16_t leaf, head, parent, node;
  Bytes tuple;
};

// addOrReplaceTuple
bool AddOrReplace(uint8_t* page, uint32_t number, Bytes tuple) {
  if (number <= MaxOffset(page)) {
    Item old;
    uint8_t* placeholders = Opaque(page) + kPlaceholders;
    if (!FindItem(page, number, kLeafHeaderSize, &old) || TupleState(old.data) != kPlaceholder ||
        Get16(placeholders) == 0)
      return false;
    Put16(placeholders, Get16(placeholders) - 1u);
    if (!DeleteIndexItem(page, number)) return false;
  }
  return AddItem(page, number, tuple);
}

// Block 0: the leaf page.
bool AddLeaf(Change* change) {
  AddLeafRecord add;
  uint8_t* page = change->page;
  if (!add.Read(change->record)) return false;
  if (add.new_page) {
    InitPage(page, kSpecialSize);
    Put16(Opaque(page) + kFlags, kLeafPage | (add.stores_nulls ? kNullsPage : 0u));
    Put16(Opaque(page) + kPageIdField, kPageId);
  }
  if (!HeaderFits(page, kSpecialSize)) return false;
  if (add.leaf == add.head)  // in the place of a dead tuple
    return DeleteIndexItem(page, add.leaf) && AddItem(page, add.leaf, add.tuple);
  if (!AddOrReplace(page, add.leaf, add.tuple)) return false;
  if (add.head == 0) return true;
  // The chain's first tuple now leads to the new one (SGLT_SET_NEXTOFFSET).
  Item head;
  if (!FindItem(page, add.head, kLeafHeaderSize, &head)) return false;
  Put16(head.data + 4, (Get16(head.data + 4) & 0xc000u) | (add.leaf & 0x3fffu));
  return true;
}

// Block 1: the parent; one node of its inner tuple leads to the leaf (spgUpdateNodeLink).
bool UpdateParent(Change* change) {
  constexpr uint32_t kInnerHeaderSize = 8;
  AddLeafRecord add;
  Item inner;
  if (!add.Read(change->record) || !HeaderFits(change->page, kSpecialSize) ||
      !FindItem(change->page, add.parent, kInnerHeaderSize, &inner))
    return false;
  const uint32_t word = Get32(inner.data);  // tupstate:2, allTheSame:1, nNodes:13, prefixSize:16
  const uint32_t nodes = word >> 3 & 0x1fff;
  uint32_t at = kInnerHeaderSize + (word >> 16);
  if (add.node >= nodes) return false;
  for (uint32_t i = 0;; i++) {
    if (at + kIndexTupleHeaderSize > inner.length) return false;
    if (i == add.node) break;
    at += TupleSize(inner.data + at);
  }
  PutItemPointer(inner.data + at, change->record.block(0)->tag.block, add.leaf);
  return true;
}

}  // namespace

Routine FindSpgistRoutine(const RecordView& record, int id) {
  AddLeafRecord add;
  if (record.info() != op::kAddLeaf || !add.Read(record) || !BlockAgrees(record, 0, add.new_page) ||
      (add.parent != 0 && !BlockAgrees(record, 1, false)))
    return nullptr;
  return id == 0 ? AddLeaf : id == 1 && add.parent != 0 ? UpdateParent : nullptr;
}

}  // namespace neon_redo::native
