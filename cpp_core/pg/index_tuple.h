// Index tuples: IndexTupleData in access/itup.h, and what B-tree indexes keep in its spare bits
// (access/nbtree.h). A tuple may stand at any address.
#ifndef NEON_REDO_PG_INDEX_TUPLE_H_
#define NEON_REDO_PG_INDEX_TUPLE_H_

#include <cstdint>

#include "cpp_core/pg/page.h"

namespace neon_redo::pg {

inline constexpr uint32_t kMaxIndexTuples = 408;      // MaxIndexTuplesPerPage
inline constexpr uint32_t kIndexTupleHeaderSize = 8;  // t_tid, t_info
inline constexpr size_t kIndexTupleInfoAt = 6;
inline constexpr uint16_t kIndexSizeMask = 0x1fff;      // INDEX_SIZE_MASK
inline constexpr uint16_t kIndexHasVarwidths = 0x4000;  // INDEX_VAR_MASK
inline constexpr uint16_t kIndexHasNulls = 0x8000;      // INDEX_NULL_MASK

// Where the data of a tuple with this t_info begin, after the bitmap of nulls if there is one
// (IndexInfoFindDataOffset).
constexpr uint32_t IndexDataOffset(uint16_t info) { return info & kIndexHasNulls ? 16 : 8; }

// B-tree: t_tid is no heap address; its offset number has a count and flags.
inline constexpr uint16_t kIndexAltTid = 0x2000;     // INDEX_ALT_TID_MASK, in t_info
inline constexpr uint16_t kBtreeIsPosting = 0x2000;  // BT_IS_POSTING, in t_tid's offset
// A pivot tuple ends in the heap address that it separates by: BT_PIVOT_HEAP_TID_ATTR.
inline constexpr uint16_t kBtreePivotHasTid = 0x1000;
inline constexpr uint32_t kBtreePivotTidSize = 8;    // MAXALIGN(sizeof(ItemPointerData))
inline constexpr uint16_t kBtreeCountMask = 0x0fff;  // BT_OFFSET_MASK

inline uint16_t TupleInfo(const uint8_t* tuple) { return Get16(tuple + kIndexTupleInfoAt); }
inline uint32_t TupleSize(const uint8_t* tuple) { return TupleInfo(tuple) & kIndexSizeMask; }

// Takes the tuple at the front of data off it, as long as its header says. False: it is not whole.
inline bool TakeIndexTuple(Bytes* data, Bytes* tuple) {
  if (data->size() < kIndexTupleHeaderSize) return false;
  const uint32_t size = TupleSize(data->data());
  if (size < kIndexTupleHeaderSize || size > data->size()) return false;
  *tuple = data->first(size);
  *data = data->subspan(size);
  return true;
}

}  // namespace neon_redo::pg

#endif  // NEON_REDO_PG_INDEX_TUPLE_H_
