// Deleting items closes the gaps in the tuple space: whatever lies below a gap moves up, towards
// the special area, and line pointers follow. The server has two ways to do it. One item at a time
// (DeleteIndexItem) the tuples keep their order in the page. Many at a time (compactify_tuples in
// bufpage.c) they are laid out again in the order of their line pointers, from the special area
// down. Both move a tuple with its padding and write nothing below the new pd_upper, so any way of
// moving that does the same leaves the same page.
#include "cpp_core/redo/native/page_edit.h"

#include "cpp_core/redo/native/compact.h"

namespace neon_redo::native {

namespace {

// Makes room for `size` more bytes at the line pointer `number`; new_pointer: it is one more.
inline uint8_t* Reserve(uint8_t* page, uint32_t number, uint32_t size, bool new_pointer) {
  const uint32_t lower = Lower(page) + (new_pointer ? 4 : 0);
  const uint32_t aligned = MaxAlign(size);
  if (lower + aligned > Upper(page)) return nullptr;
  const uint32_t upper = Upper(page) - aligned;
  PutLinePointer(page, number, upper, kLpNormal, size);
  SetLower(page, lower);
  SetUpper(page, upper);
  return page + upper;
}

// The part of PageIndexTupleDelete, PageIndexTupleDeleteNoCompact and PageIndexTupleOverwrite that
// moves tuples: everything below the item at `offset` goes `distance` bytes up (down, if negative).
// only_stored: line pointers without storage stay as they are.
void ShiftItems(uint8_t* page, uint32_t offset, int distance, bool only_stored) {
  const uint32_t upper = Upper(page);
  if (offset > upper) std::memmove(page + upper + distance, page + upper, offset - upper);
  SetUpper(page, static_cast<uint32_t>(static_cast<int>(upper) + distance));
  const uint32_t count = MaxOffset(page);
  for (uint32_t n = 1; n <= count; n++) {
    const LinePointer lp = GetLinePointer(page, n);
    if ((lp.length() != 0 || !only_stored) && lp.offset() <= offset)
      PutLinePointer(page, n, (lp.offset() + static_cast<uint32_t>(distance)) & 0x7fff, lp.flags(),
                     lp.length());
  }
}

}  // namespace

bool FindItem(uint8_t* page, uint32_t number, uint32_t min_length, Item* out) {
  if (number == 0 || number > MaxOffset(page)) return false;
  const LinePointer lp = GetLinePointer(page, number);
  if (lp.offset() < Upper(page) || lp.offset() % 8 != 0 || lp.length() < min_length ||
      lp.length() == 0 || lp.offset() + lp.length() > Special(page))
    return false;
  *out = {page + lp.offset(), lp.length()};
  return true;
}

bool FindNormalItem(uint8_t* page, uint32_t number, uint32_t min_length, Item* out) {
  return FindItem(page, number, min_length, out) &&
         GetLinePointer(page, number).flags() == kLpNormal;
}

void InitPage(uint8_t* page, uint32_t special_size) {
  std::memset(page, 0, kPageSize);
  SetLower(page, kHeaderSize);
  SetUpper(page, kPageSize - special_size);
  SetSpecial(page, kPageSize - special_size);
  SetSizeAndVersion(page, kPageSizeAndVersion);
}

uint8_t* AddItemOverUnused(uint8_t* page, uint32_t number, uint32_t size, uint32_t max_number) {
  const uint32_t limit = MaxOffset(page) + 1;
  if (number == 0 || number > limit || number > max_number) return nullptr;
  if (number < limit) {
    const LinePointer lp = GetLinePointer(page, number);
    if (lp.flags() != kLpUnused || lp.length() != 0) return nullptr;
  }
  return Reserve(page, number, size, number == limit);
}

uint8_t* AddItem(uint8_t* page, uint32_t number, uint32_t size) {
  const uint32_t limit = MaxOffset(page) + 1;
  if (number == 0 || number > limit) return nullptr;
  if (Lower(page) + 4 + MaxAlign(size) > Upper(page)) return nullptr;
  uint8_t* lp = LinePointerAt(page, number);
  if (number < limit) std::memmove(lp + 4, lp, 4 * size_t{limit - number});
  return Reserve(page, number, size, true);
}

bool RepairFragmentation(uint8_t* page) {
  const uint32_t lines = MaxOffset(page);
  if (lines > tuple::kMaxHeapTuples) return false;
  KeptItems kept(page);
  LineCounts counts;
  if (!GatherItems(page, &kept, &counts) || !kept.fits(page) || !Compact(page, kept)) return false;
  const uint32_t dropped = lines - counts.last_used;
  SetLower(page, Lower(page) - 4 * dropped);
  if (counts.unused > dropped)
    SetFlags(page, kPdHasFreeLines);
  else
    ClearFlags(page, kPdHasFreeLines);
  return true;
}

void TruncateLinePointers(uint8_t* page) {
  uint32_t lines = MaxOffset(page);
  // One line pointer always stays.
  for (; lines > 1 && GetLinePointer(page, lines).flags() == kLpUnused; lines--)
    SetLower(page, Lower(page) - 4);
  for (; lines > 0; lines--) {
    if (GetLinePointer(page, lines).flags() == kLpUnused) return SetFlags(page, kPdHasFreeLines);
  }
  ClearFlags(page, kPdHasFreeLines);
}

bool DeleteIndexItem(uint8_t* page, uint32_t number) {
  Item item;
  if (!FindItem(page, number, 1, &item)) return false;
  const auto offset = static_cast<uint32_t>(item.data - page);
  const uint32_t size = MaxAlign(item.length);
  if (offset + size > Special(page)) return false;
  uint8_t* lp = LinePointerAt(page, number);
  // Up to pd_lower, as the server: on a damaged page that is no whole line pointer.
  std::memmove(lp, lp + 4, static_cast<size_t>(page + Lower(page) - (lp + 4)));
  SetLower(page, Lower(page) - 4);
  ShiftItems(page, offset, static_cast<int>(size), false);
  return true;
}

bool DeleteIndexItems(uint8_t* page, const uint8_t* numbers, uint32_t count) {
  if (count <= 2) {
    while (count-- > 0) {
      if (!DeleteIndexItem(page, Get16(numbers + 2 * size_t{count}))) return false;
    }
    return true;
  }
  const uint32_t lines = MaxOffset(page);
  if (lines > kMaxIndexTuples) return false;
  KeptItems kept(page);
  uint32_t deleted = 0;
  for (uint32_t n = 1; n <= lines; n++) {
    const LinePointer lp = GetLinePointer(page, n);
    if (deleted < count && n == Get16(numbers + 2 * size_t{deleted})) {
      Item item;
      if (!FindItem(page, n, 1, &item)) return false;
      deleted++;
      continue;
    }
    if (lp.length() == 0 || !kept.Keep(lp, n - 1 - deleted)) return false;
    Put32(LinePointerAt(page, n - deleted), lp.bits);
  }
  if (deleted != count || !kept.fits(page)) return false;
  SetLower(page, kHeaderSize + 4 * kept.count);
  return Compact(page, kept);
}

bool DeleteItemKeepNumbers(uint8_t* page, uint32_t number) {
  Item item;
  if (!FindItem(page, number, 1, &item)) return false;
  const auto offset = static_cast<uint32_t>(item.data - page);
  const uint32_t size = MaxAlign(item.length);
  if (offset + size > Special(page)) return false;
  if (number < MaxOffset(page))
    PutLinePointer(page, number, 0, kLpUnused, 0);
  else
    SetLower(page, Lower(page) - 4);
  ShiftItems(page, offset, static_cast<int>(size), true);
  return true;
}

uint8_t* ReplaceIndexItem(uint8_t* page, uint32_t number, uint32_t new_size) {
  Item item;
  if (!FindItem(page, number, 1, &item)) return nullptr;
  const auto offset = static_cast<uint32_t>(item.data - page);
  const uint32_t old_aligned = MaxAlign(item.length), aligned = MaxAlign(new_size);
  if (new_size == 0 || offset + old_aligned > Special(page)) return nullptr;
  if (aligned > old_aligned + (Upper(page) - Lower(page))) return nullptr;
  const int distance = static_cast<int>(old_aligned) - static_cast<int>(aligned);
  if (distance != 0) ShiftItems(page, offset, distance, true);
  const uint32_t to = offset + static_cast<uint32_t>(distance);
  PutLinePointer(page, number, to, GetLinePointer(page, number).flags(), new_size);
  return page + to;
}

}  // namespace neon_redo::native
