// Runs of heap inserts into one page, replayed together. Inside the engine only.
#ifndef NEON_REDO_SRC_WORKER_INSERT_RUN_H_
#define NEON_REDO_SRC_WORKER_INSERT_RUN_H_

#include "neon_redo/record.h"

namespace neon_redo {

// Takes the record into the run if it can be replayed as part of one: a plain insert into the
// target (whose content there is), newer than the page and than the run so far. The record's bytes
// are copied. False: not taken, and the run must be replayed before anything else is done to the
// page.
bool AddToInsertRun(const RecordView& view, const BlockRef& block, uint64_t end_lsn);

// Replays what was taken since the last call, if anything.
void ReplayInsertRun();

// Forgets it: its request was given up.
void DropInsertRun();

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_WORKER_INSERT_RUN_H_
