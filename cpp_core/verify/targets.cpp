#include "cpp_core/verify/targets.h"

#include "cpp_core/verify/distributor.h"
#include "cpp_core/verify/visibility_map.h"
#include "cpp_core/wal/rmgr.h"

namespace neon_redo {
namespace {

// Where in its main data a heap record has the number of the line pointer that it looks at in the
// block; -1: nowhere. access/heapam_xlog.h.
int LineAt(const RecordView& record, int id) {
  switch (record.info() & 0x70) {
    case 0x00:  // xl_heap_insert
    case 0x50:  // xl_heap_confirm
    case 0x70:  // xl_heap_inplace
      return 0;
    case 0x10:  // xl_heap_delete
    case 0x60:  // xl_heap_lock
      return 4;
    case 0x20:  // xl_heap_update: the new tuple, or in block 1 the old one
      return id == 0 && record.block(1) != nullptr ? 12 : 4;
    case 0x40:  // the same, both in block 0
      return 4;
    default:
      return -1;
  }
}

// xl_heap_prune: the last of the line pointers that lose their tuple. What stands below that moves.
uint16_t PrunedLine(const RecordView& record, int id) {
  const Bytes main = record.main_data(), data = record.block(id)->data;
  if (main.size() < 8 || data.size() < 4) return BlockChange::kHeaderOnly;
  const size_t listed = 2 * (2 * size_t{LoadNative<uint16_t>(main.data() + 4)});
  const size_t at = data.size() > listed ? data.size() - 2 : 0;
  return LoadNative<uint16_t>(data.data() + at) | BlockChange::kAndBelow;
}

// Only a hint what to fetch: a wrong one costs time.
uint16_t LineOf(const RecordView& record, int id) {
  if (record.block(id)->initialises()) return BlockChange::kHeaderOnly;
  if (record.rmid() == kRmHeap2 && (record.info() & 0x70) == 0x10) return PrunedLine(record, id);
  if (record.rmid() != kRmHeap) return BlockChange::kWholePage;
  const int at = LineAt(record, id);
  if (at < 0 || record.main_data().size() < static_cast<size_t>(at) + 2)
    return BlockChange::kHeaderOnly;
  return LoadNative<uint16_t>(record.main_data().data() + at);
}

bool IsOfRelation(const StorageEvent& event) {
  return event.kind != StorageEvent::kClearAllFrozen && event.kind != StorageEvent::kClearVisible;
}

void AddWhole(uint32_t partitions, Targets* targets) {
  targets->Clear();
  for (uint32_t partition = 0; partition < partitions; partition++)
    targets->Add(partition, {0, 0, BlockChange::kWholeRecord, BlockChange::kHeaderOnly});
}

}  // namespace

void FindTargets(const RecordView& record, uint32_t partitions, bool with_visibility,
                 Targets* targets) {
  targets->Clear();
  const auto add = [&](const BlockTag& tag, int16_t part, uint16_t line) {
    targets->Add(PartitionOf(tag, partitions), {HashTag(tag), 0, part, line});
  };
  if (!ReadStorageEvents(record, &targets->events)) return AddWhole(1, targets);
  for (size_t i = 0; i < targets->events.size(); i++) {
    const StorageEvent& event = targets->events[i];
    if (IsOfRelation(event)) return AddWhole(partitions, targets);
    if (with_visibility)
      add({event.rel, kVisibilityMapFork, MapPageOf(event.block)}, static_cast<int16_t>(-1 - i),
          BlockChange::kWholePage);
  }
  for (int id = 0; id <= record.max_block_id(); id++) {
    const BlockRef* ref = record.block(id);
    if (ref != nullptr && ref->tag.fork != kFreeSpaceMapFork)
      add(ref->tag, static_cast<int16_t>(id), LineOf(record, id));
  }
}

}  // namespace neon_redo
