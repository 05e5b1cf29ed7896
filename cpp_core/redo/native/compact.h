// Closing the gaps between the tuples of a page: compactify_tuples in storage/page/bufpage.c.
#ifndef NEON_REDO_REDO_NATIVE_COMPACT_H_
#define NEON_REDO_REDO_NATIVE_COMPACT_H_

#include <cstdint>

#include "cpp_core/redo/native/page_edit.h"

namespace neon_redo::native {

// The items that stay on a page, in the order of their line pointers. About 3 kB; not initialised.
struct KeptItems {
  static constexpr uint32_t kMax = kMaxIndexTuples;
  static constexpr uint32_t kSlack = 16;  // what GatherItems writes at a time

  explicit KeptItems(const uint8_t* page) : upper(Upper(page)), special(Special(page)) {
    previous = special;
    for (uint64_t& word : joined) word = 0;
  }

  // Takes the next item; index: of its line pointer, from 0. False when its tuple does not lie
  // between pd_upper and the special area, at an aligned place.
  bool Keep(LinePointer lp, uint32_t index);
  // Whether Compact may be asked.
  bool fits(const uint8_t* page) const {
    return total <= special - Lower(page) && !(in_order && overlaps);
  }

  uint32_t count = 0;
  uint32_t total = 0;     // bytes, with padding
  bool in_order = true;   // offsets strictly fall, so that tuples can be moved in place
  bool overlaps = false;  // an item and the one before it
  uint32_t upper, special;
  uint32_t previous;               // offset of the item before
  uint64_t joined[kMax / 64 + 2];  // bits: the item ends where the one before it begins
  uint16_t offset[kMax + kSlack], index[kMax + kSlack];
  uint16_t length[kMax + kSlack];  // with padding
};

// What line pointers of a heap page there are.
struct LineCounts {
  uint32_t unused = 0, last_used = 0;
};

// Fills *kept from all of a heap page's line pointers; unused ones are made all zero. False as
// KeptItems::Keep. GatherItems uses the widest instructions that the processor has.
bool GatherItems(uint8_t* page, KeptItems* kept, LineCounts* counts);
bool GatherItemsOneByOne(uint8_t* page, KeptItems* kept, LineCounts* counts);

// Lays the items out anew, from the special area down, in the order of their line pointers. False
// when the server would have read what it has not saved.
bool Compact(uint8_t* page, const KeptItems& kept);

}  // namespace neon_redo::native

#endif  // NEON_REDO_REDO_NATIVE_COMPACT_H_
