// What btree.cpp and btree_rebuild.cpp share: B-tree pages and tuples with posting lists
// (access/nbtree.h).
#ifndef NEON_REDO_REDO_NATIVE_BTREE_H_
#define NEON_REDO_REDO_NATIVE_BTREE_H_

#include <cstdint>

#include "cpp_core/pg/special_area.h"
#include "cpp_core/redo/native/change.h"
#include "cpp_core/redo/native/page_edit.h"

namespace neon_redo::native {

inline bool BtreeHeaderFits(const uint8_t* page) {
  return HeaderFits(page, pg::btree::kSpecialSize);
}
inline uint8_t* Opaque(uint8_t* page) { return SpecialArea(page, pg::btree::kSpecialSize); }
inline void ClearBtreeFlag(uint8_t* page, uint16_t flag) {
  uint8_t* flags = Opaque(page) + pg::btree::kFlags;
  Put16(flags, Get16(flags) & ~uint32_t{flag});
}
// P_FIRSTDATAKEY: the first item is the high key, but on the rightmost page.
inline uint32_t FirstDataKey(uint8_t* page) {
  return Get32(Opaque(page) + pg::btree::kNext) == 0 ? 1 : 2;
}

// _bt_pageinit, and the special area's fields
inline void InitBtreePage(uint8_t* page, uint32_t prev, uint32_t next, uint32_t level,
                          uint16_t flags) {
  InitPage(page, pg::btree::kSpecialSize);
  uint8_t* opaque = Opaque(page);
  Put32(opaque + pg::btree::kPrev, prev);
  Put32(opaque + pg::btree::kNext, next);
  Put32(opaque + pg::btree::kLevel, level);
  Put16(opaque + pg::btree::kFlags, flags);
}

// A tuple with a list of heap TIDs instead of one, checked: key, then the list, all in the tuple's
// size, which is a multiple of 8 and that of the item.
struct PostingTuple {
  uint8_t* tuple;
  uint32_t key_size;
  uint32_t count;

  static bool Is(const uint8_t* tuple) {  // BTreeTupleIsPosting
    return (TupleInfo(tuple) & kIndexAltTid) && (Get16(tuple + 4) & kBtreeIsPosting);
  }
  static bool IsPivot(const uint8_t* tuple) {
    return (TupleInfo(tuple) & kIndexAltTid) && !(Get16(tuple + 4) & kBtreeIsPosting);
  }
  // item has at least kIndexTupleHeaderSize bytes.
  bool Read(const Item& item) {
    if (!Is(item.data)) return false;
    tuple = item.data;
    key_size = GetBlockNumber(tuple);
    count = Get16(tuple + 4) & kBtreeCountMask;
    return key_size >= kIndexTupleHeaderSize && key_size % 8 == 0 && key_size <= item.length &&
           count >= 2 && item.length == TupleSize(tuple) && item.length % 8 == 0 &&
           key_size + count * kItemPointerSize <= item.length;
  }
  uint8_t* tid(uint32_t i) const { return tuple + key_size + i * kItemPointerSize; }
};

// Makes `out`, which holds the key already, a tuple of `size` bytes with a posting list of count
// heap TIDs after key_size bytes (BTreeTupleSetPosting).
inline void SetPosting(uint8_t* out, uint32_t size, uint32_t key_size, uint32_t count) {
  PutItemPointer(out, key_size, static_cast<uint16_t>(count | kBtreeIsPosting));
  Put16(out + kIndexTupleInfoAt,
        (TupleInfo(out) & ~uint32_t{kIndexSizeMask}) | size | kIndexAltTid);
}

// _bt_swap_posting: the new tuple's TID goes into the list at `at`, the list's last TID into the
// new tuple. In place. False when `at` is not inside the list.
bool SwapPosting(uint8_t* new_tuple, const PostingTuple& posting, uint32_t at);

// _bt_restore_page: items as they lie in the upper part of a page, the last first. The page is
// fresh.
bool RestoreItems(uint8_t* page, Bytes items);

// Blocks 0 and 1 of a split, and a page whose duplicates become posting lists.
bool SplitLeftPage(Change* change);
bool SplitRightPage(Change* change);
bool Dedup(Change* change);

}  // namespace neon_redo::native

#endif  // NEON_REDO_REDO_NATIVE_BTREE_H_
