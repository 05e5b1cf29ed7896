#include "neon_redo/block.h"

namespace neon_redo {

const char* ForkName(uint8_t fork) {
  static constexpr const char* kNames[] = {"main", "fsm", "vm", "init"};
  return fork <= kMaxForkNumber ? kNames[fork] : "?";
}

}  // namespace neon_redo
