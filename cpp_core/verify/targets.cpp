#include "cpp_core/verify/targets.h"

#include "cpp_core/verify/distributor.h"
#include "cpp_core/verify/visibility_map.h"

namespace neon_redo {

uint64_t TargetsOf(const RecordView& record, uint32_t partitions, bool with_visibility,
                   std::vector<StorageEvent>* events) {
  if (partitions == 1) return 1;
  if (!ReadStorageEvents(record, events)) return 1;
  uint64_t targets = 0;
  const auto add = [&](const BlockTag& tag) {
    targets |= uint64_t{1} << PartitionOf(tag, partitions);
  };
  for (const StorageEvent& event : *events) {
    if (event.kind != StorageEvent::kClearAllFrozen && event.kind != StorageEvent::kClearVisible)
      return ~uint64_t{0} >> (64 - partitions);
    if (with_visibility) add({event.rel, kVisibilityMapFork, MapPageOf(event.block)});
  }
  for (int id = 0; id <= record.max_block_id(); id++) {
    if (const BlockRef* ref = record.block(id)) add(ref->tag);
  }
  return targets;
}

}  // namespace neon_redo
