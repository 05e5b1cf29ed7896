// The pages that redo routines see. Part of the engine (engine.h).
//
// A routine finds a page in one of two places:
//  - Local buffers, the fast place. PostgreSQL makes them for temporary tables, and their arrays
//    are public variables that this module fills. XLogReadBufferExtended
//    (access/transam/xlogutils.c) first tries the buffer that a block reference names
//    (DecodedBkpBlock.prefetch_buffer) and accepts a local one, without a lock or a hash table.
//    Local buffer 1 is the target, the page being rebuilt. The other local buffers stand for the
//    record's other blocks. They all show one page with the largest LSN, so that redo skips those
//    blocks.
//  - The shared buffer pool, the slow place, found through its hash table. Routines that initialise
//    a page or may extend a fork (RBM_ZERO_*) look only there. For such a record the target is
//    copied into the pool, and back after it.
#ifndef NEON_REDO_SRC_WORKER_PAGES_H_
#define NEON_REDO_SRC_WORKER_PAGES_H_

#include "neon_redo/block.h"
#include "src/server.h"

namespace neon_redo {

inline constexpr int kSharedBuffers = 64;  // more than one record pins or dirties

// Call it once, after the buffer manager and the storage manager have started.
void InitPages();

// The fork number that redo sees for a block of this fork. Redo flushes pages of an init fork to
// disk (XLogReadBufferForRedoExtended), so an init fork is presented as a main fork.
inline ::ForkNumber ShownFork(uint8_t fork) {
  return fork == kInitFork ? MAIN_FORKNUM : static_cast<::ForkNumber>(fork);
}

// Set the target block and the place of its 8192 bytes.
void SetTargetTag(const BlockTag& tag);
void SetTargetPage(uint8_t* page);
uint8_t* TargetPage();

// Sets the block reference to the target's relation, fork and block.
void SetTargetReference(DecodedBkpBlock* block);

// Places the target where the record's redo routine looks for it, and sets prefetch_buffer of the
// record's block references. in_pool: the routine looks in the shared pool. have_page: the target
// has content; otherwise the pool shows a page of zeroes.
void PlacePages(DecodedXLogRecord* record, int target_id, bool in_pool, bool have_page);

// Puts a page of zeroes into the shared pool, unless the page is there.
void PlaceZeroes(const ServerRelation& rel, ::ForkNumber fork, ::BlockNumber block);

// Call it after the routine. It copies the target from the pool back to TargetPage(), and empties
// the pool when the next record could otherwise make it evict, and so write, a dirty page.
void TakeTargetBack();

// Removes every page from the pool, if the pool was used since the last call.
void DropPool();

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_PAGES_H_
