// The pages that redo routines see. Inside the engine only (engine.h is the face).
//
// A routine finds a page in one of two places:
//  - The fast place: PostgreSQL's local (temporary-table) buffers, whose arrays are ours to fill.
//    XLogReadBufferExtended looks first at the buffer that a block reference hints at
//    (DecodedBkpBlock.prefetch_buffer) and accepts a local one; there are no locks and no hash
//    table behind it. Local buffer 1 is the page that is being rebuilt; the others stand for the
//    record's other blocks and all show one page from the far future, so that redo leaves them be.
//  - The slow place: the shared buffer pool, by hash table. Routines that initialise a page or may
//    extend a fork (RBM_ZERO_*) look only there. The page being rebuilt is put there for such a
//    record and taken back after it.
#ifndef NEON_REDO_SRC_WORKER_PAGES_H_
#define NEON_REDO_SRC_WORKER_PAGES_H_

#include "neon_redo/block.h"
#include "src/server.h"

namespace neon_redo {

inline constexpr int kSharedBuffers = 64;  // more than any record pins or dirties

// Once, after the buffer and storage managers are up.
void InitPages();

// The fork that redo is told for a block of this fork. Redo flushes pages of the init fork to disk
// (XLogReadBufferForRedoExtended), so it sees every init fork as a main fork.
inline ::ForkNumber ShownFork(uint8_t fork) {
  return fork == kInitFork ? MAIN_FORKNUM : static_cast<::ForkNumber>(fork);
}

// Which block is being rebuilt, and where its 8192 bytes are.
void SetTargetTag(const BlockTag& tag);
void SetTargetPage(uint8_t* page);
uint8_t* TargetPage();

// Makes a block reference name the target.
void SetTargetReference(DecodedBkpBlock* block);

// Puts the target where the record's redo routine will look for it and fills in the hints of its
// block references. in_pool: use the slow place. have_page: the target has
// content; without, the pool shows zeroes.
void PlacePages(DecodedXLogRecord* record, int target_id, bool in_pool, bool have_page);

// After the routine: the target's content is in TargetPage() again, and the pool is not so full of
// dirty pages that the next record could make it write one.
void TakeTargetBack();

// Forgets every page of the pool, if any was used since the last call.
void DropPool();

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_PAGES_H_
