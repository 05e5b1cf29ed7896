// Looks a few records ahead, so that the processor fetches what they need while the records before
// them are applied. Without that it waits for memory half of the time: which block a record changes
// is as good as random.
#ifndef NEON_REDO_VERIFY_LOOKAHEAD_H_
#define NEON_REDO_VERIFY_LOOKAHEAD_H_

#include <cstdint>

#include "cpp_core/base/bytes.h"
#include "cpp_core/keyspace/block.h"

namespace neon_redo {

class Partition;

// See Partition::Prefetch.
inline constexpr int kPrefetchSteps = 3;

// Not thread-safe.
class Lookahead {
 public:
  // ahead: records that follow each other at multiples of eight bytes, the first of them the one
  // that comes next, none of them checked; the last may be cut. Call before each record; walks on
  // from where it was when that is within `ahead`.
  void Walk(Bytes ahead, Partition* partition);

  // The first block that a record refers to, if it can be told without parsing: it has no image.
  // record: unchecked, perhaps cut.
  static bool FirstBlock(Bytes record, BlockTag* tag);

 private:
  static constexpr uint32_t kDistance = 4;  // records between one step for a block and the next
  static constexpr uint32_t kRing = 16;     // more than the records of all steps

  void See(Bytes record, Partition* partition);

  const uint8_t* at_ = nullptr;  // the next record to be looked at
  uint32_t seen_ = 0;            // records, mod 2^32
  BlockTag tags_[kRing];
  bool named_[kRing] = {};
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_LOOKAHEAD_H_
