// The visibility map's arithmetic (access/heap/visibilitymap.c): after the page header, two bits
// for each heap block.
#ifndef NEON_REDO_PG_VISIBILITY_MAP_H_
#define NEON_REDO_PG_VISIBILITY_MAP_H_

#include <cstdint>
#include <cstring>

#include "cpp_core/pg/page.h"

namespace neon_redo {

inline constexpr uint32_t kMapBytesOnPage = kBlockSize - kPageHeaderSize;  // MAPSIZE
inline constexpr uint32_t kHeapBlocksInMapByte = 4;                        // HEAPBLOCKS_PER_BYTE
inline constexpr uint32_t kHeapBlocksOnMapPage = kMapBytesOnPage * kHeapBlocksInMapByte;
inline constexpr uint8_t kAllVisibleBit = 0x01;      // VISIBILITYMAP_ALL_VISIBLE
inline constexpr uint8_t kAllFrozenBit = 0x02;       // VISIBILITYMAP_ALL_FROZEN
inline constexpr uint8_t kAllVisibilityBits = 0x03;  // VISIBILITYMAP_VALID_BITS

// The map's page with the bits of this heap block.
constexpr uint32_t MapPageOf(uint32_t heap_block) { return heap_block / kHeapBlocksOnMapPage; }

// Where on its page the bits of a heap block are: the byte, counted from the end of the page
// header, and the shift in it.
constexpr uint32_t MapByteOf(uint32_t heap_block) {
  return heap_block % kHeapBlocksOnMapPage / kHeapBlocksInMapByte;
}
constexpr uint32_t MapShiftOf(uint32_t heap_block) { return heap_block % kHeapBlocksInMapByte * 2; }

// The map of a heap of this many blocks ends in a page of which only the front is kept (the heap
// does not end where a map page does).
constexpr bool MapPageIsCut(uint32_t heap_blocks) {
  return heap_blocks % kHeapBlocksOnMapPage != 0;
}

// The functions below take a page of the map, of kBlockSize bytes.
inline uint8_t VisibilityBits(const uint8_t* page, uint32_t heap_block) {
  return page[kPageHeaderSize + MapByteOf(heap_block)] >> MapShiftOf(heap_block) &
         kAllVisibilityBits;
}

// visibilitymap_set
inline void SetVisibilityBits(uint8_t* page, uint32_t heap_block, uint8_t bits) {
  page[kPageHeaderSize + MapByteOf(heap_block)] |=
      static_cast<uint8_t>(bits << MapShiftOf(heap_block));
}

// visibilitymap_clear: bits are kAllFrozenBit and the like.
inline void ClearVisibilityBits(uint8_t* page, uint32_t heap_block, uint8_t bits) {
  page[kPageHeaderSize + MapByteOf(heap_block)] &=
      static_cast<uint8_t>(~(bits << MapShiftOf(heap_block)));
}

// visibilitymap_prepare_truncate, by byte after the page header and bit: clears from there to the
// end of the page. byte is below kMapBytesOnPage, bit below 8.
inline void ClearVisibilityFrom(uint8_t* page, uint32_t byte, uint32_t bit) {
  uint8_t* first = page + kPageHeaderSize + byte;
  *first &= static_cast<uint8_t>((1u << bit) - 1);
  std::memset(first + 1, 0, kMapBytesOnPage - byte - 1);
}

// The same from the bits of a heap block on.
inline void ClearVisibilityFrom(uint8_t* page, uint32_t heap_block) {
  ClearVisibilityFrom(page, MapByteOf(heap_block), MapShiftOf(heap_block));
}

}  // namespace neon_redo

#endif  // NEON_REDO_PG_VISIBILITY_MAP_H_
