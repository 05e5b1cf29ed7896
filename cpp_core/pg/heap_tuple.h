// The header of a heap tuple: HeapTupleHeaderData in access/htup_details.h.
#ifndef NEON_REDO_PG_HEAP_TUPLE_H_
#define NEON_REDO_PG_HEAP_TUPLE_H_

#include <cstddef>
#include <cstdint>

namespace neon_redo::pg::tuple {

inline constexpr uint32_t kTupleHeaderSize = 23;  // SizeofHeapTupleHeader: up to t_bits
inline constexpr uint32_t kMaxTupleSize = 8160;   // MaxHeapTupleSize
inline constexpr uint32_t kMaxHeapTuples = 291;   // MaxHeapTuplesPerPage

// Offsets of the fields.
inline constexpr size_t kXmin = 0;
inline constexpr size_t kXmax = 4;
inline constexpr size_t kCid = 8;  // t_field3
inline constexpr size_t kCtid = 12;
inline constexpr size_t kInfomask2 = 18;
inline constexpr size_t kInfomask = 20;
inline constexpr size_t kHoff = 22;

// t_infomask: HEAP_*
inline constexpr uint16_t kHasNull = 0x0001;
inline constexpr uint16_t kHasVarWidth = 0x0002;
inline constexpr uint16_t kHasExternal = 0x0004;
inline constexpr uint16_t kHasOidOld = 0x0008;
inline constexpr uint16_t kXmaxKeyShareLock = 0x0010;
inline constexpr uint16_t kComboCid = 0x0020;
inline constexpr uint16_t kXmaxExclusiveLock = 0x0040;
inline constexpr uint16_t kXmaxLockOnly = 0x0080;
inline constexpr uint16_t kXminCommitted = 0x0100;
inline constexpr uint16_t kXminInvalid = 0x0200;
inline constexpr uint16_t kXminFrozen = kXminCommitted | kXminInvalid;
inline constexpr uint16_t kXmaxCommitted = 0x0400;
inline constexpr uint16_t kXmaxInvalid = 0x0800;
inline constexpr uint16_t kXmaxIsMulti = 0x1000;
inline constexpr uint16_t kUpdated = 0x2000;
inline constexpr uint16_t kMovedOff = 0x4000;
inline constexpr uint16_t kMovedIn = 0x8000;
inline constexpr uint16_t kMoved = kMovedOff | kMovedIn;
inline constexpr uint16_t kXactMask = 0xfff0;
inline constexpr uint16_t kLockMask = kXmaxKeyShareLock | kXmaxExclusiveLock;
// HEAP_XMAX_BITS
inline constexpr uint16_t kXmaxBits =
    kXmaxCommitted | kXmaxInvalid | kXmaxIsMulti | kLockMask | kXmaxLockOnly;

// The transaction in t_xmax, or all of the multixact, has only locked the tuple:
// HEAP_XMAX_IS_LOCKED_ONLY.
constexpr bool IsLockedOnly(uint16_t infomask) {
  return (infomask & kXmaxLockOnly) ||
         (infomask & (kXmaxIsMulti | kLockMask)) == kXmaxExclusiveLock;
}

// t_infomask2
inline constexpr uint16_t kNattsMask = 0x07ff;
inline constexpr uint16_t kKeysUpdated = 0x2000;
inline constexpr uint16_t kHotUpdated = 0x4000;
inline constexpr uint16_t kOnlyTuple = 0x8000;

// Offset numbers in t_ctid that are no offsets.
inline constexpr uint16_t kSpeculativeToken = 0xfffe;  // SpecTokenOffsetNumber
inline constexpr uint16_t kMovedPartitions = 0xfffd;   // MovedPartitionsOffsetNumber

// xl_heap_header (access/heapam_xlog.h), and the same fields at the end of xl_multi_insert_tuple:
// infomask2, infomask, hoff.
inline constexpr size_t kStoredHeaderSize = 5;

// infobits_set of records that lock or delete: XLHL_* (access/heapam_xlog.h)
inline constexpr uint8_t kStoredXmaxIsMulti = 0x01;
inline constexpr uint8_t kStoredXmaxLockOnly = 0x02;
inline constexpr uint8_t kStoredXmaxExclusiveLock = 0x04;
inline constexpr uint8_t kStoredXmaxKeyShareLock = 0x08;
inline constexpr uint8_t kStoredKeysUpdated = 0x10;

}  // namespace neon_redo::pg::tuple

#endif  // NEON_REDO_PG_HEAP_TUPLE_H_
