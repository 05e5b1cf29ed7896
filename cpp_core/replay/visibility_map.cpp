#include "cpp_core/replay/visibility_map.h"

#include <cstring>

namespace neon_redo {
namespace {

constexpr uint32_t kMapStart = 24;  // PageGetContents

uint32_t ByteOf(uint32_t heap_block) { return heap_block % kHeapBlocksOnMapPage / 4; }
uint32_t ShiftOf(uint32_t heap_block) { return heap_block % 4 * 2; }

}  // namespace

void ClearVisibilityBits(uint8_t* page, uint32_t heap_block, uint8_t bits) {
  page[kMapStart + ByteOf(heap_block)] &= static_cast<uint8_t>(~(bits << ShiftOf(heap_block)));
}

void ClearVisibilityFrom(uint8_t* page, uint32_t heap_block) {
  const uint32_t byte = ByteOf(heap_block);
  page[kMapStart + byte] &= static_cast<uint8_t>((1 << ShiftOf(heap_block)) - 1);
  std::memset(page + kMapStart + byte + 1, 0, kMapBytesOnPage - byte - 1);
}

}  // namespace neon_redo
