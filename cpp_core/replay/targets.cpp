#include "cpp_core/replay/targets.h"

#include <optional>

#include "cpp_core/pg/record_layout.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/replay/distributor.h"

namespace neon_redo {
namespace {

namespace heap = layout::heap;
namespace heap2 = layout::heap2;
namespace btree = layout::btree;

// Where in its main data a record of a heap or an index has the number of the line pointer that it
// looks at in the block. Nothing for rare records.
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

// The last line pointer that loses its tuple by a record that prunes: tuples that stand below that
// tuple move. For the record of 17 and 18.
uint16_t PrunedOrFrozenLine(const RecordView& record, int id) {
  const Bytes main = record.main_data(), data = record.block(id)->data;
  if (main.size() < heap2::kPruneSize || data.size() < 4) return BlockChange::kHeaderOnly;
  const uint8_t flags = main[heap2::kPruneFlags];
  if (flags & heap2::kPruneHasFreezePlans) return BlockChange::kWholePage;
  if (!(flags & heap2::kPruneCleanupLock)) return BlockChange::kAndBelow;
  return LoadNative<uint16_t>(data.data() + data.size() - 2) | BlockChange::kAndBelow;
}

// The same for PRUNE of 15.
uint16_t PrunedLine(const RecordView& record, int id) {
  const Bytes main = record.main_data(), data = record.block(id)->data;
  if (main.size() < heap2::kPruneRedirected + 2 || data.size() < 4) return BlockChange::kHeaderOnly;
  const size_t redirects = 4 * size_t{LoadNative<uint16_t>(main.data() + heap2::kPruneRedirected)};
  const size_t at = data.size() > redirects ? data.size() - 2 : 0;
  return LoadNative<uint16_t>(data.data() + at) | BlockChange::kAndBelow;
}

uint16_t LineOfHeap2(const RecordView& record, int id) {
  const uint8_t operation = record.info() & layout::kOperationMask;
  const bool cleans = operation >= heap2::kPrune && operation <= heap2::kFreezePage;
  if (cleans && record.version().heap_cleanup == pg::HeapCleanup::kPruneFreeze)
    return PrunedOrFrozenLine(record, id);
  switch (operation) {
    case heap2::kPrune:
      return PrunedLine(record, id);
    case heap2::kVacuum:
      return BlockChange::kAndBelow;
    case heap2::kVisible:
      return BlockChange::kHeaderOnly;
    default:
      return BlockChange::kWholePage;
  }
}

// What to fetch is a hint only: a wrong one costs time.
uint16_t LineOf(const RecordView& record, int id) {
  const BlockRef& ref = *record.block(id);
  if (ref.initialises() || ref.tag.fork == kVisibilityMapFork) return BlockChange::kHeaderOnly;
  if (record.rmid() == kRmHeap2) return LineOfHeap2(record, id);
  const bool inserts = record.rmid() == kRmBtree && record.info() == btree::kInsertLeaf;
  if (record.rmid() != kRmHeap && !inserts) return BlockChange::kWholePage;
  const std::optional<size_t> at = LineAt(record, id);
  if (!at || record.main_data().size() < *at + 2) return BlockChange::kHeaderOnly;
  return LoadNative<uint16_t>(record.main_data().data() + *at);
}

void AddWhole(uint32_t partitions, Targets* targets) {
  targets->Clear();
  for (uint32_t partition = 0; partition < partitions; partition++)
    targets->Add(partition, {0, 0, BlockChange::kWholeRecord, BlockChange::kHeaderOnly});
}

}  // namespace

void FindTargets(const RecordView& record, const ChangeList& others, uint32_t partitions,
                 bool with_visibility, Targets* targets) {
  targets->Clear();
  const auto add = [&](const BlockTag& tag, int16_t part, uint16_t line) {
    targets->Add(PartitionOf(tag, partitions), {HashTag(tag), 0, part, line});
  };
  for (size_t i = 0; i < others.size(); i++) {
    const Change& change = others[i];
    if (ChangesRelationFiles(change.kind)) return AddWhole(partitions, targets);
    // A record that clears bits changes nothing else beyond its blocks, so i is also the change's
    // number among those of TakeRelationChanges.
    if (with_visibility && change.kind == ChangeKind::kClearVisibility)
      add(BlockOf(change), static_cast<int16_t>(-1 - static_cast<int>(i)),
          BlockChange::kHeaderOnly);
  }
  for (int id = 0; id <= record.max_block_id(); id++) {
    const BlockRef* ref = record.block(id);
    if (ref != nullptr) add(ref->tag, static_cast<int16_t>(id), LineOf(record, id));
  }
}

}  // namespace neon_redo
