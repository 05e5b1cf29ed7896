// Heap tuples' headers (HeapTupleHeaderData in access/htup_details.h), and what heap.cpp and
// heap2.cpp both do with them.
#ifndef NEON_REDO_PG_HEAP_TUPLE_H_
#define NEON_REDO_PG_HEAP_TUPLE_H_

#include <cstdint>

#include "cpp_core/redo/native/change.h"
#include "cpp_core/redo/native/page_edit.h"

namespace neon_redo::native {

inline constexpr uint32_t kTupleHeaderSize = 23;  // SizeofHeapTupleHeader: up to t_bits
inline constexpr uint32_t kMaxTupleSize = 8160;   // MaxHeapTupleSize

// Where the fields are.
inline constexpr size_t kXmin = 0;
inline constexpr size_t kXmax = 4;
inline constexpr size_t kCid = 8;  // t_field3
inline constexpr size_t kCtid = 12;
inline constexpr size_t kInfomask2 = 18;
inline constexpr size_t kInfomask = 20;
inline constexpr size_t kHoff = 22;

// t_infomask
inline constexpr uint16_t kXmaxKeyShareLock = 0x0010;
inline constexpr uint16_t kComboCid = 0x0020;
inline constexpr uint16_t kXmaxExclusiveLock = 0x0040;
inline constexpr uint16_t kXmaxLockOnly = 0x0080;
inline constexpr uint16_t kXmaxIsMulti = 0x1000;
inline constexpr uint16_t kLockMask = kXmaxKeyShareLock | kXmaxExclusiveLock;
inline constexpr uint16_t kMoved = 0xc000;
// HEAP_XMAX_BITS: also XMAX_COMMITTED and XMAX_INVALID
inline constexpr uint16_t kXmaxBits = 0x0c00 | kXmaxIsMulti | kLockMask | kXmaxLockOnly;
// t_infomask2
inline constexpr uint16_t kKeysUpdated = 0x2000;
inline constexpr uint16_t kHotUpdated = 0x4000;

// What a record stores of a tuple's header (xl_heap_header, and the same fields in
// xl_multi_insert_tuple).
struct StoredHeader {
  uint16_t infomask2;
  uint16_t infomask;
  uint8_t hoff;
};

// A fresh header as insert and update write it; t_ctid is the tuple itself.
inline void WriteTupleHeader(uint8_t* tuple, const StoredHeader& stored, uint32_t xmin,
                             uint32_t xmax, uint32_t block, uint16_t offset) {
  Put32(tuple + kXmin, xmin);
  Put32(tuple + kXmax, xmax);
  Put32(tuple + kCid, 0);
  PutItemPointer(tuple + kCtid, block, offset);
  Put16(tuple + kInfomask2, stored.infomask2);
  // HeapTupleHeaderSetCmin
  Put16(tuple + kInfomask, stored.infomask & ~kComboCid);
  tuple[kHoff] = stored.hoff;
}

// heap_xlog_* all but begin with it: xmax's old meaning goes, the record's bits (XLHL_* in
// access/heapam_xlog.h; fix_infomask_from_infobits) come.
inline void SetXmaxBits(uint8_t* tuple, uint8_t infobits, bool clear_hot_updated) {
  uint32_t mask = Get16(tuple + kInfomask) & ~uint32_t{kXmaxBits | kMoved};
  uint32_t mask2 = Get16(tuple + kInfomask2) & ~uint32_t{kKeysUpdated};
  if (clear_hot_updated) mask2 &= ~uint32_t{kHotUpdated};
  if (infobits & 0x01) mask |= kXmaxIsMulti;
  if (infobits & 0x02) mask |= kXmaxLockOnly;
  if (infobits & 0x04) mask |= kXmaxExclusiveLock;
  if (infobits & 0x08) mask |= kXmaxKeyShareLock;
  if (infobits & 0x10) mask2 |= kKeysUpdated;
  Put16(tuple + kInfomask, mask);
  Put16(tuple + kInfomask2, mask2);
}

// HeapTupleHeaderSetCmax with FirstCommandId
inline void ClearCmax(uint8_t* tuple) {
  Put32(tuple + kCid, 0);
  Put16(tuple + kInfomask, Get16(tuple + kInfomask) & ~uint32_t{kComboCid});
}

inline bool HeapHeaderFits(const uint8_t* page) { return HeaderFits(page, 0); }

// One inserted tuple: a header, then the record's bytes from t_bits on.
inline bool InsertTuple(uint8_t* page, const StoredHeader& stored, const uint8_t* data,
                        uint32_t length, uint32_t xid, uint32_t block, uint16_t offset) {
  if (length > kMaxTupleSize - kTupleHeaderSize) return false;
  uint8_t* tuple = AddItemOverUnused(page, offset, kTupleHeaderSize + length, kMaxHeapTuples);
  if (tuple == nullptr) return false;
  WriteTupleHeader(tuple, stored, xid, 0, block, offset);
  CopyBytes(tuple + kTupleHeaderSize, data, length);
  return true;
}

}  // namespace neon_redo::native

#endif  // NEON_REDO_PG_HEAP_TUPLE_H_
