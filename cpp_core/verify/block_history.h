// What WAL has done to one block since it was last known whole.
#ifndef NEON_REDO_VERIFY_BLOCK_HISTORY_H_
#define NEON_REDO_VERIFY_BLOCK_HISTORY_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "cpp_core/verify/redo_crew.h"
#include "cpp_core/verify/storage_events.h"
#include "cpp_core/wal/record.h"

namespace neon_redo {

// One step: a record for a worker, or, for a page of the visibility map, a clearing of bits that
// is done here, since no record names the page.
struct BlockChange {
  RecordPtr record;                                        // null: clear
  StorageEvent::Kind clear = StorageEvent::kClearVisible;  // kTruncateFork: from heap_block on
  uint32_t heap_block = 0;
};

// Value type; one thread at a time.
struct BlockHistory {
  // The page before `changes`; null when there is none, or (not settled) it is still in the backup.
  std::shared_ptr<const Page> page;
  bool settled = false;  // page is the last word on what was before
  std::deque<BlockChange> changes;

  RecordPtr last;                // last record that names the block, until it is described
  std::string last_description;  // of the record before a rebuild in between
  Lsn last_lsn;                  // its end; 0 when no record names the block
  Lsn hint_lsn;                  // end of a later record that need not move the page's LSN
  uint8_t last_rmid = 0;         // of that record
  uint8_t mask_rmid = 0;         // of the last one whose resource manager has a mask; 0: none yet
  std::string failure;           // why the page could not be rebuilt; empty when it could
  bool map_is_lost = false;      // a page of the visibility map whose bits are not in WAL
  bool done = false;             // compared

  // Takes a record that names the block.
  void Add(const RecordPtr& record, const RecordHeader& header, const BlockRef& ref);

  // Takes a clearing of visibility bits, by a record of this resource manager for the heap.
  void AddClear(StorageEvent::Kind kind, uint32_t heap_block, uint8_t rmid) {
    changes.push_back({nullptr, kind, heap_block});
    if (!last_lsn.valid()) last_rmid = rmid;
  }

  // `page` must be looked up in the backup first.
  bool NeedsBase() const { return !settled && !changes.empty(); }

  // Does the clearings at the front, then takes the records up to the next clearing out of
  // `changes` into a task. Nothing when there are none.
  std::optional<RedoTask> NextTask(const BlockTag& tag);

 private:
  void ApplyClears();
};

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_BLOCK_HISTORY_H_
