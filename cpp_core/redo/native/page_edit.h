// Changes to pages with line pointers (storage/bufpage.h, storage/itemid.h), as bufpage.c makes
// them: the same bytes, also those of the padding between tuples, which keeps what the page had
// there. Each function checks what it relies on and says false, having changed nothing or little,
// when it does not hold; the page is then given up (native.h, kMalformed).
#ifndef NEON_REDO_REDO_NATIVE_PAGE_EDIT_H_
#define NEON_REDO_REDO_NATIVE_PAGE_EDIT_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpp_core/pg/page.h"
#include "neon_redo/bytes.h"

namespace neon_redo::native {

inline constexpr uint32_t kPageSize = kBlockSize;
inline constexpr uint32_t kHeaderSize = kPageHeaderSize;
inline constexpr uint32_t kMaxHeapTuples = 291;                 // MaxHeapTuplesPerPage
inline constexpr uint32_t kMaxIndexTuples = 408;                // MaxIndexTuplesPerPage
inline constexpr uint16_t kPageSizeAndVersion = kPageSize | 4;  // PG_PAGE_LAYOUT_VERSION
inline constexpr uint16_t kFirstOffset = 1;                     // FirstOffsetNumber
inline constexpr uint32_t kInvalidBlock = 0xffffffff;

inline uint16_t Get16(const uint8_t* p) { return LoadNative<uint16_t>(p); }
inline uint32_t Get32(const uint8_t* p) { return LoadNative<uint32_t>(p); }
inline uint64_t Get64(const uint8_t* p) { return LoadNative<uint64_t>(p); }
inline void Put16(uint8_t* p, uint32_t v) {
  const auto n = static_cast<uint16_t>(v);
  std::memcpy(p, &n, sizeof(n));
}
inline void Put32(uint8_t* p, uint32_t v) { std::memcpy(p, &v, sizeof(v)); }
inline void Put64(uint8_t* p, uint64_t v) { std::memcpy(p, &v, sizeof(v)); }

inline uint32_t MaxAlign(uint32_t n) { return (n + 7) & ~uint32_t{7}; }

// BlockIdData and ItemPointerData: the high half of the block number first.
inline uint32_t GetBlockNumber(const uint8_t* p) { return uint32_t{Get16(p)} << 16 | Get16(p + 2); }
inline void PutBlockNumber(uint8_t* p, uint32_t block) {
  Put16(p, block >> 16);
  Put16(p + 2, block & 0xffff);
}
inline void PutItemPointer(uint8_t* p, uint32_t block, uint16_t offset) {
  PutBlockNumber(p, block);
  Put16(p + 4, offset);
}

// Page header fields (PageHeaderData).
inline uint32_t Lower(const uint8_t* page) { return Get16(page + 12); }
inline uint32_t Upper(const uint8_t* page) { return Get16(page + 14); }
inline uint32_t Special(const uint8_t* page) { return Get16(page + 16); }
inline void SetLower(uint8_t* page, uint32_t v) { Put16(page + 12, v); }
inline void SetUpper(uint8_t* page, uint32_t v) { Put16(page + 14, v); }
inline uint16_t Flags(const uint8_t* page) { return Get16(page + 10); }
inline void SetFlags(uint8_t* page, uint16_t set) { Put16(page + 10, Flags(page) | set); }
inline void ClearFlags(uint8_t* page, uint16_t clear) { Put16(page + 10, Flags(page) & ~clear); }
inline uint64_t PageLsn(const uint8_t* page) {
  return uint64_t{Get32(page)} << 32 | Get32(page + 4);
}
inline bool IsNew(const uint8_t* page) { return Upper(page) == 0; }

// The header of a page in today's layout whose special area has exactly this size, a multiple of 8.
inline bool HeaderFits(const uint8_t* page, uint32_t special_size) {
  const uint32_t lower = Lower(page), upper = Upper(page);
  return lower >= kHeaderSize && lower <= upper && upper <= Special(page) &&
         Special(page) == kPageSize - special_size && Get16(page + 18) == kPageSizeAndVersion;
}

// PageGetMaxOffsetNumber of a page whose header fits.
inline uint32_t MaxOffset(const uint8_t* page) { return (Lower(page) - kHeaderSize) / 4; }

// A line pointer; number is from 1 to MaxOffset.
inline uint8_t* LinePointerAt(uint8_t* page, uint32_t number) {
  return page + kHeaderSize + 4 * (number - 1);
}
inline LinePointer GetLinePointer(const uint8_t* page, uint32_t number) {
  return {Get32(page + kHeaderSize + 4 * (number - 1))};
}
inline void PutLinePointer(uint8_t* page, uint32_t number, uint32_t offset, uint32_t flags,
                           uint32_t length) {
  Put32(LinePointerAt(page, number), offset | flags << 15 | length << 17);
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
// AddItemOverUnused: PAI_OVERWRITE; number is at most max_number (PAI_IS_HEAP: kMaxHeapTuples).
// AddItem: no flag; items from number on move up one. The page's header fits.
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

// PageIndexTupleOverwrite, in two steps as AddItem; what is left of the item's old bytes at the
// place returned is unspecified.
uint8_t* ReplaceIndexItem(uint8_t* page, uint32_t number, uint32_t new_size);
inline bool ReplaceIndexItem(uint8_t* page, uint32_t number, const uint8_t* data, uint32_t size) {
  uint8_t* to = ReplaceIndexItem(page, number, size);
  if (to == nullptr) return false;
  CopyBytes(to, data, size);
  return true;
}

}  // namespace neon_redo::native

#endif  // NEON_REDO_REDO_NATIVE_PAGE_EDIT_H_
