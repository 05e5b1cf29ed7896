#include "cpp_core/verify/block_history.h"

#include "cpp_core/page/mask.h"
#include "cpp_core/page/page.h"
#include "cpp_core/verify/visibility_map.h"
#include "cpp_core/wal/rmgr.h"

namespace neon_redo {
namespace {

// XLOG_HEAP2_VISIBLE sets a hint in the heap page. Whether the page gets the record's LSN depends
// on checksums and wal_log_hints, of the server then and of the worker now (heap_xlog_visible).
bool MaySkipLsn(const RecordHeader& header, const BlockRef& ref) {
  constexpr uint8_t kHeap2Visible = 0x40;
  return header.rmid == kRmHeap2 && (header.info & 0x70) == kHeap2Visible &&
         ref.tag.fork == kMainFork;
}

// XLOG_FPI_FOR_HINT without an image, as written with full_page_writes = off: the server has moved
// the page's LSN, redo does nothing (MarkBufferDirtyHint, xlog_redo).
bool IsEmptyHint(const RecordHeader& header, const BlockRef& ref) {
  constexpr uint8_t kXlogFpiForHint = 0xa0;
  return header.rmid == kRmXlog && (header.info & 0xf0) == kXlogFpiForHint && !ref.has_image;
}

// CREATE DATABASE … STRATEGY wal_log logs every page of the template as if its free space held
// nothing (RelationCopyStorageUsingBuffer), and a page of the map is all free space: redo makes an
// empty map, while the server that wrote the WAL goes on with the full one. Both are safe.
bool LosesMap(const BlockRef& ref) {
  return ref.tag.fork == kVisibilityMapFork && ref.apply_image && ref.hole_length > 0;
}

}  // namespace

void BlockHistory::Add(const RecordPtr& record, const RecordHeader& header, const BlockRef& ref) {
  if (ref.initialises()) {
    changes.clear();
    page.reset();
    settled = true;
    failure.clear();
    map_is_lost = LosesMap(ref);
  }
  last = record;
  last_lsn = record->end;
  last_rmid = header.rmid;
  if (HasMask(header.rmid)) mask_rmid = header.rmid;
  if (IsEmptyHint(header, ref) || MaySkipLsn(header, ref)) hint_lsn = record->end;
  if (!IsEmptyHint(header, ref)) changes.push_back({record});
}

void BlockHistory::ApplyClears() {
  std::shared_ptr<Page> changed;
  while (!changes.empty() && !changes.front().record) {
    const BlockChange change = changes.front();
    changes.pop_front();
    if (!page) continue;  // no map page, no bits to clear
    if (!changed) changed = std::make_shared<Page>(*page);
    if (change.clear == StorageEvent::kTruncateFork)
      ClearVisibilityFrom(changed->data(), change.heap_block);
    else
      ClearVisibilityBits(
          changed->data(), change.heap_block,
          change.clear == StorageEvent::kClearAllFrozen ? kAllFrozenBit : kAllVisibilityBits);
  }
  if (changed) page = changed;
}

std::optional<RedoTask> BlockHistory::NextTask(const BlockTag& tag) {
  if (!failure.empty()) {
    changes.clear();
    return std::nullopt;
  }
  ApplyClears();
  if (changes.empty()) return std::nullopt;
  RedoTask task{tag, page, {}, nullptr};
  while (!changes.empty() && changes.front().record) {
    task.records.push_back(std::move(changes.front().record));
    changes.pop_front();
  }
  return task;
}

}  // namespace neon_redo
