// The part of the visibility map that redo does without naming the map's page
// (access/heap/visibilitymap.c). Setting bits is a record of its own and a worker's business.
#ifndef NEON_REDO_REPLAY_VISIBILITY_MAP_H_
#define NEON_REDO_REPLAY_VISIBILITY_MAP_H_

#include <cstdint>

#include "neon_redo/block.h"

namespace neon_redo {

inline constexpr uint32_t kMapBytesOnPage = kBlockSize - 24;  // MAPSIZE
// Two bits for each heap block: all-visible, all-frozen.
inline constexpr uint32_t kHeapBlocksOnMapPage = kMapBytesOnPage * 4;
inline constexpr uint8_t kAllFrozenBit = 0x02;
inline constexpr uint8_t kAllVisibilityBits = 0x03;

// The map's page with the bits of this heap block.
inline uint32_t MapPageOf(uint32_t heap_block) { return heap_block / kHeapBlocksOnMapPage; }

// The map of a heap of this many blocks ends in a page of which only the front is kept (the heap
// does not end where a map page does).
inline bool MapPageIsCut(uint32_t heap_blocks) { return heap_blocks % kHeapBlocksOnMapPage != 0; }

// visibilitymap_clear: page holds the map's 8192 bytes, bits are kAllFrozenBit and the like.
void ClearVisibilityBits(uint8_t* page, uint32_t heap_block, uint8_t bits);

// visibilitymap_prepare_truncate: clears the bits of heap blocks from this one to the page's end.
void ClearVisibilityFrom(uint8_t* page, uint32_t heap_block);

}  // namespace neon_redo

#endif  // NEON_REDO_REPLAY_VISIBILITY_MAP_H_
