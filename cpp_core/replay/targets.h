// Which blocks a record changes, and which partitions the blocks are in.
#ifndef NEON_REDO_REPLAY_TARGETS_H_
#define NEON_REDO_REPLAY_TARGETS_H_

#include <cstdint>
#include <span>

#include "cpp_core/replay/record_batch.h"
#include "neon_redo/ingest.h"
#include "neon_redo/record.h"

namespace neon_redo {

// Reusable.
struct Targets {
  struct Change {
    uint32_t partition;
    BlockChange change;  // but for its record's number
  };
  uint64_t partitions = 0;  // a set of bits
  std::span<const Change> changes() const { return {changes_, count_}; }

  void Clear() { partitions = count_ = 0; }
  void Add(uint32_t partition, const BlockChange& change) {
    partitions |= uint64_t{1} << partition;
    changes_[count_++] = {partition, change};
  }

  // One for each partition, or for each block reference and two pages of the visibility map.
  static constexpr size_t kMax = 64;
  static_assert(kMax >= kMaxBlockId + 1 + 2);

 private:
  size_t count_ = 0;
  Change changes_[kMax];
};

// The blocks that the record changes, whether it names them or (with_visibility) not, and their
// partitions. What happens to whole relations is for all partitions: each gets one change of the
// whole record. others: of the record, by Ingest::TakeBeyondBlocks or TakeRelationChanges.
void FindTargets(const RecordView& record, const ChangeList& others, uint32_t partitions,
                 bool with_visibility, Targets* targets);

}  // namespace neon_redo

#endif  // NEON_REDO_REPLAY_TARGETS_H_
