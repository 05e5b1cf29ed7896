// Blocks of a relation that neither a backup nor WAL has, in runs.
#ifndef NEON_REDO_CLI_ABSENT_BLOCKS_H_
#define NEON_REDO_CLI_ABSENT_BLOCKS_H_

#include <cstdint>
#include <iterator>
#include <map>

namespace neon_redo::cli {

// The server adds that many blocks at most without a record (RelationAddExtraBlocks of PostgreSQL 15; later
// ones 64): they are zeroes. A longer run is lost.
inline constexpr uint32_t kMostAbsentInARow = 512;

struct BlockRun {
  uint32_t first = 0, last = 0;
  uint64_t size() const { return uint64_t{last} - first + 1; }
};

// Not thread-safe.
class AbsentBlocks {
 public:
  // Takes one more block, in any order, each once. Returns the run that it belongs to now.
  BlockRun Add(uint32_t block) {
    BlockRun run{block, block};
    auto next = runs_.upper_bound(block);
    if (next != runs_.begin()) {
      const auto before = std::prev(next);
      if (before->second + 1 == block) {
        run.first = before->first;
        runs_.erase(before);
      }
    }
    if (next != runs_.end() && next->first == block + 1) {
      run.last = next->second;
      runs_.erase(next);
    }
    runs_[run.first] = run.last;
    return run;
  }

 private:
  std::map<uint32_t, uint32_t> runs_;  // the last block of each, by the first
};

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_ABSENT_BLOCKS_H_
