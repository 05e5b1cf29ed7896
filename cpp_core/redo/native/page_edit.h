// Changes to pages with line pointers (storage/bufpage.h, storage/itemid.h), as bufpage.c makes
// them: the same bytes, also in the padding between tuples, which keeps what the page had there.
// Each function checks what it relies on. Where that does not hold, it returns false after having
// changed nothing or little, and the caller gives the page up (native.h, kMalformed).
#ifndef NEON_REDO_REDO_NATIVE_PAGE_EDIT_H_
#define NEON_REDO_REDO_NATIVE_PAGE_EDIT_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/index_tuple.h"
#include "cpp_core/pg/page.h"
#include "neon_redo/bytes.h"

namespace neon_redo::native {

using namespace pg;  // Get16, Lower, SetLower and the like

inline constexpr uint32_t kPageSize = kBlockSize;
inline constexpr uint32_t kHeaderSize = kPageHeaderSize;
inline constexpr uint16_t kFirstOffset = 1;  // FirstOffsetNumber
inline constexpr uint32_t kInvalidBlock = 0xffffffff;

inline uint32_t MaxAlign(uint32_t n) { return (n + 7) & ~uint32_t{7}; }

// The header of a page in the present layout whose special area has exactly this size, a multiple
// of 8.
inline bool HeaderFits(const uint8_t* page, uint32_t special_size) {
  const uint32_t lower = Lower(page), upper = Upper(page);
  return lower >= kHeaderSize && lower <= upper && upper <= Special(page) &&
         Special(page) == kPageSize - special_size && SizeAndVersion(page) == kPageSizeAndVersion;
}

// PageGetMaxOffsetNumber of a page whose header fits.
inline uint32_t MaxOffset(const uint8_t* page) {
  return (Lower(page) - kHeaderSize) / uint32_t{kLinePointerSize};
}

// A line pointer; number is from 1 to MaxOffset.
inline uint8_t* LinePointerAt(uint8_t* page, uint32_t number) {
  return page + LinePointerOffset(number);
}
inline LinePointer GetLinePointer(const uint8_t* page, uint32_t number) {
  return {Get32(page + LinePointerOffset(number))};
}
inline void PutLinePointer(uint8_t* page, uint32_t number, uint32_t offset, uint32_t flags,
                           uint32_t length) {
  Put32(LinePointerAt(page, number), LinePointer::Of(offset, flags, length).bits);
}

// An item on a page: its bytes, all of them between pd_upper and the special area.
struct Item {
  uint8_t* data = nullptr;
  uint32_t length = 0;
};

// Finds an item that has storage, whatever its line pointer's flags, of at least min_length bytes
// and at an aligned place. The page's header fits.
bool FindItem(uint8_t* page, uint32_t number, uint32_t min_length, Item* out);
// The same, and the line pointer is LP_NORMAL.
bool FindNormalItem(uint8_t* page, uint32_t number, uint32_t min_length, Item* out);

// PageInit. special_size is a multiple of 8.
void InitPage(uint8_t* page, uint32_t special_size);

// PageAddItemExtended with a given offset number, in two steps: makes room and the line pointer,
// and gives where the item's `size` bytes must be written. Null when the item does not fit.
// AddItemOverUnused: PAI_OVERWRITE; number is at most max_number (PAI_IS_HEAP:
// tuple::kMaxHeapTuples). AddItem: no flag; items from number on move up one. The page's header
// fits.
uint8_t* AddItemOverUnused(uint8_t* page, uint32_t number, uint32_t size, uint32_t max_number);
uint8_t* AddItem(uint8_t* page, uint32_t number, uint32_t size);
inline bool AddItem(uint8_t* page, uint32_t number, const uint8_t* data, uint32_t size) {
  uint8_t* to = AddItem(page, number, size);
  if (to == nullptr) return false;
  CopyBytes(to, data, size);
  return true;
}

// PageRepairFragmentation. The page's header fits.
bool RepairFragmentation(uint8_t* page);

// PageTruncateLinePointerArray
void TruncateLinePointers(uint8_t* page);

// PageIndexTupleDelete
bool DeleteIndexItem(uint8_t* page, uint32_t number);

// PageIndexMultiDelete. numbers: count of them, two bytes each, at any address, ascending.
bool DeleteIndexItems(uint8_t* page, const uint8_t* numbers, uint32_t count);

// PageIndexTupleDeleteNoCompact
bool DeleteItemKeepNumbers(uint8_t* page, uint32_t number);

// PageIndexTupleOverwrite, in two steps as AddItem; the rest of the item's old bytes at the
// place returned is unspecified.
uint8_t* ReplaceIndexItem(uint8_t* page, uint32_t number, uint32_t new_size);
inline bool ReplaceIndexItem(uint8_t* page, uint32_t number, const uint8_t* data, uint32_t size) {
  uint8_t* to = ReplaceIndexItem(page, number, size);
  if (to == nullptr) return false;
  CopyBytes(to, data, size);
  return true;
}

inline bool AddItem(uint8_t* page, uint32_t number, Bytes item) {
  return AddItem(page, number, item.data(), static_cast<uint32_t>(item.size()));
}

// Adds all the index tuples in data after the last item. *count: how many.
inline bool AppendIndexTuples(uint8_t* page, Bytes data, uint32_t* count) {
  Bytes tuple;
  for (*count = 0; !data.empty(); ++*count) {
    if (!TakeIndexTuple(&data, &tuple) || !AddItem(page, MaxOffset(page) + 1, tuple)) return false;
  }
  return true;
}

}  // namespace neon_redo::native

#endif  // NEON_REDO_REDO_NATIVE_PAGE_EDIT_H_
