// Index tuples' common header (IndexTupleData in access/itup.h): t_tid, t_info. It may stand at any
// address.
#ifndef NEON_REDO_PG_INDEX_TUPLE_H_
#define NEON_REDO_PG_INDEX_TUPLE_H_

#include <cstdint>

#include "cpp_core/redo/native/page_edit.h"

namespace neon_redo::native {

inline constexpr uint32_t kIndexTupleHeaderSize = 8;
inline constexpr uint32_t kItemPointerSize = 6;
inline constexpr uint16_t kIndexSizeMask = 0x1fff;  // INDEX_SIZE_MASK

inline uint16_t TupleInfo(const uint8_t* tuple) { return Get16(tuple + 6); }
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

inline bool AddItem(uint8_t* page, uint32_t number, Bytes item) {
  return AddItem(page, number, item.data(), static_cast<uint32_t>(item.size()));
}

// Adds all the tuples in data behind the last item. *count: how many.
inline bool AppendIndexTuples(uint8_t* page, Bytes data, uint32_t* count) {
  Bytes tuple;
  for (*count = 0; !data.empty(); ++*count) {
    if (!TakeIndexTuple(&data, &tuple) || !AddItem(page, MaxOffset(page) + 1, tuple)) return false;
  }
  return true;
}

}  // namespace neon_redo::native

#endif  // NEON_REDO_PG_INDEX_TUPLE_H_
