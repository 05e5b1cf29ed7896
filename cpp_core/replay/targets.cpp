#include "cpp_core/replay/targets.h"

#include <optional>

#include "cpp_core/pg/record_layout.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/visibility_map.h"
#include "cpp_core/replay/distributor.h"

namespace neon_redo {
namespace {

namespace heap = layout::heap;
namespace heap2 = layout::heap2;
namespace btree = layout::btree;

// Where in its main data a record of a heap or an index has the number of the line pointer that it
// looks at in the block; nothing for the rare ones.
std::optional<size_t> LineAt(const RecordView& record, int id) {
  if (record.rmid() == kRmBtree) return btree::kInsertLine;
  switch (record.info() & layout::kOperationMask) {
    case heap::kInsert:
      return heap::kInsertLine;
    case heap::kDelete:
      return heap::kDeleteLine;
    case heap::kLock:
      return heap::kLockLine;
    case heap::kHotUpdate:
      return heap::kUpdateOldLine;
    case heap::kUpdate:  // where there is a block 1, it has the old tuple
      return id == 0 && record.block(1) != nullptr ? heap::kUpdateNewLine : heap::kUpdateOldLine;
    default:
      return std::nullopt;
  }
}

// Of a record that prunes, the last line pointer that loses its tuple: what stands below that
// moves.
uint16_t PrunedLine(const RecordView& record, int id) {
  const Bytes main = record.main_data(), data = record.block(id)->data;
  if (main.size() < heap2::kPruneRedirected + 2 || data.size() < 4) return BlockChange::kHeaderOnly;
  const size_t redirects = 4 * size_t{LoadNative<uint16_t>(main.data() + heap2::kPruneRedirected)};
  const size_t at = data.size() > redirects ? data.size() - 2 : 0;
  return LoadNative<uint16_t>(data.data() + at) | BlockChange::kAndBelow;
}

// Only a hint what to fetch: a wrong one costs time.
uint16_t LineOf(const RecordView& record, int id) {
  const BlockRef& ref = *record.block(id);
  if (ref.initialises() || ref.tag.fork == kVisibilityMapFork) return BlockChange::kHeaderOnly;
  const uint8_t operation = record.info() & layout::kOperationMask;
  if (record.rmid() == kRmHeap2 && operation == heap2::kPrune) return PrunedLine(record, id);
  if (record.rmid() == kRmHeap2 && operation == heap2::kVacuum) return BlockChange::kAndBelow;
  if (record.rmid() == kRmHeap2 && operation == heap2::kVisible) return BlockChange::kHeaderOnly;
  const bool inserts = record.rmid() == kRmBtree && record.info() == btree::kInsertLeaf;
  if (record.rmid() != kRmHeap && !inserts) return BlockChange::kWholePage;
  const std::optional<size_t> at = LineAt(record, id);
  if (!at || record.main_data().size() < *at + 2) return BlockChange::kHeaderOnly;
  return LoadNative<uint16_t>(record.main_data().data() + *at);
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
          BlockChange::kHeaderOnly);
  }
  for (int id = 0; id <= record.max_block_id(); id++) {
    const BlockRef* ref = record.block(id);
    if (ref != nullptr) add(ref->tag, static_cast<int16_t>(id), LineOf(record, id));
  }
}

}  // namespace neon_redo
