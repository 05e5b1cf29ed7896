// Which partitions a record concerns.
#ifndef NEON_REDO_VERIFY_TARGETS_H_
#define NEON_REDO_VERIFY_TARGETS_H_

#include <cstdint>
#include <vector>

#include "cpp_core/verify/storage_events.h"
#include "cpp_core/wal/record.h"

namespace neon_redo {

// A set of bits: the partitions of the blocks that the record changes, whether it names them or
// (with_visibility) not; all of them for what happens to whole relations. A record whose data is
// too short goes to one, which reports it. events: scratch.
uint64_t TargetsOf(const RecordView& record, uint32_t partitions, bool with_visibility,
                   std::vector<StorageEvent>* events);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_TARGETS_H_
