// What the resource managers Heap and Heap2 both do with tuples.
#ifndef NEON_REDO_REDO_NATIVE_HEAP_H_
#define NEON_REDO_REDO_NATIVE_HEAP_H_

#include <cstdint>

#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/record_layout.h"
#include "cpp_core/redo/native/change.h"
#include "cpp_core/redo/native/page_edit.h"

namespace neon_redo::native {

using namespace pg::tuple;  // kXmin, kInfomask and the like

// What a record stores of a tuple's header: kStoredHeaderSize bytes.
struct StoredHeader {
  uint16_t infomask2;
  uint16_t infomask;
  uint8_t hoff;

  static StoredHeader Read(const uint8_t* p) { return {Get16(p), Get16(p + 2), p[4]}; }
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

// How all redo functions for deleting, updating and locking begin: the old meaning of xmax is
// cleared, and the record's bits are set (fix_infomask_from_infobits in access/heap/heapam.c).
inline void SetXmaxBits(uint8_t* tuple, uint8_t infobits, bool clear_hot_updated) {
  uint32_t mask = Get16(tuple + kInfomask) & ~uint32_t{kXmaxBits | kMoved};
  uint32_t mask2 = Get16(tuple + kInfomask2) & ~uint32_t{kKeysUpdated};
  if (clear_hot_updated) mask2 &= ~uint32_t{kHotUpdated};
  if (infobits & kStoredXmaxIsMulti) mask |= kXmaxIsMulti;
  if (infobits & kStoredXmaxLockOnly) mask |= kXmaxLockOnly;
  if (infobits & kStoredXmaxExclusiveLock) mask |= kXmaxExclusiveLock;
  if (infobits & kStoredXmaxKeyShareLock) mask |= kXmaxKeyShareLock;
  if (infobits & kStoredKeysUpdated) mask2 |= kKeysUpdated;
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

#endif  // NEON_REDO_REDO_NATIVE_HEAP_H_
