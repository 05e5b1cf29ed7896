// Names of blocks: relation, fork, block number. The layouts are PostgreSQL's
// (storage/relfilenode.h, common/relpath.h, storage/block.h). Values to be copied freely. Nothing
// here allocates or throws, since neon.so includes it inside PostgreSQL.
//
//   const neon_redo::BlockTag tag = {{1663, 5, 16384}, neon_redo::kMainFork, 7};
#ifndef NEON_REDO_BLOCK_H_
#define NEON_REDO_BLOCK_H_

#include <compare>
#include <cstddef>
#include <cstdint>

namespace neon_redo {

inline constexpr size_t kBlockSize = 8192;  // bytes: BLCKSZ of every packaged build

// A relation's storage: tablespace, database (0 for shared relations), file node.
struct RelFileNode {
  uint32_t spc = 0;
  uint32_t db = 0;
  uint32_t rel = 0;
  constexpr auto operator<=>(const RelFileNode&) const = default;
};

enum ForkNumber : uint8_t {
  kMainFork = 0,
  kFreeSpaceMapFork = 1,
  kVisibilityMapFork = 2,
  kInitFork = 3,
};
inline constexpr uint8_t kMaxForkNumber = kInitFork;

// "main", "fsm", "vm", "init" (forkNames in common/relpath.c); "?" for anything else.
const char* ForkName(uint8_t fork);

// One page of one fork of one relation. Ordered by relation, fork, block.
struct BlockTag {
  RelFileNode rel;
  uint8_t fork = kMainFork;
  uint32_t block = 0;
  constexpr auto operator<=>(const BlockTag&) const = default;
};

}  // namespace neon_redo

#endif  // NEON_REDO_BLOCK_H_
