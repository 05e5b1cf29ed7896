// What a record does to whole relations and databases, and to visibility map pages that it does
// not name. These changes have no block reference, so no request to a worker carries them.
#ifndef NEON_REDO_VERIFY_STORAGE_EVENTS_H_
#define NEON_REDO_VERIFY_STORAGE_EVENTS_H_

#include <cstdint>
#include <vector>

#include "neon_redo/block.h"
#include "neon_redo/record.h"

namespace neon_redo {

struct StorageEvent {
  enum Kind {
    kCreateFork,  // rel, fork: a new, empty file
    // rel, fork: block is the first that is gone. For the visibility map it is a block of the heap.
    // Of the free space map nothing is told: it is no page's business.
    kTruncateFork,
    kDropRelation,    // rel: all forks
    kDropDatabase,    // rel.db in tablespace rel.spc
    kCopyDatabase,    // rel.db in tablespace rel.spc: its files are copies of the template's
    kClearAllFrozen,  // rel, block of the heap: one bit of the visibility map
    kClearVisible,    // rel, block of the heap: both bits of the visibility map
  };
  Kind kind;
  RelFileNode rel;
  uint8_t fork = kMainFork;
  uint32_t block = 0;
};

// Replaces *events by those of the record, in order. Returns false when the record's data is too
// short for what it says it holds.
[[nodiscard]] bool ReadStorageEvents(const RecordView& record, std::vector<StorageEvent>* events);

}  // namespace neon_redo

#endif  // NEON_REDO_VERIFY_STORAGE_EVENTS_H_
